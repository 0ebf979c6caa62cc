"""From settings and outputs to the parameters of templates."""

import pytest

from modelwatch_cli.deployment.cloudformation.parameters import (
    bucket_parameters,
    common_parameters,
    template_parameters,
)
from modelwatch_cli.deployment.cloudformation.plan import make_plan
from modelwatch_cli.settings import Settings

NOTHING: frozenset[str] = frozenset()


def common(**environ: str) -> dict[str, str]:
    settings = Settings({"LAMBDA_ARCHITECTURE": "arm64"} | environ)
    return common_parameters(make_plan(settings), settings)


def test_a_record_stays_hidden_for_six_times_the_consumers_timeout_and_the_window():
    parameters = common(CAPTURE_BATCH_WINDOW_SECONDS="20")
    assert parameters["VisibilityTimeoutSeconds"] == "380"
    assert parameters["ConsumerTimeoutSeconds"] == "60"


def test_functions_get_the_s3_endpoint_only_when_it_is_not_among_the_others():
    here, there = "http://a:1", "http://b:2"
    same = common(AWS_ENDPOINT_URL=here, AWS_ENDPOINT_URL_S3=here)
    other = common(AWS_ENDPOINT_URL=here, AWS_ENDPOINT_URL_S3=there)
    assert (same["AwsEndpointUrlS3"], other["AwsEndpointUrlS3"]) == ("", there)


def test_another_schedule_is_another_rule():
    names = {common(ANALYSIS_SCHEDULE=f"rate({n} minutes)")["AnalysisRuleName"] for n in (2, 3)}
    assert len(names) == 2
    assert all(name.startswith("modelwatch-local-analyze-") for name in names)


def test_what_is_provided_comes_before_a_setting_and_a_setting_before_a_default():
    template = {"Parameters": {"Stage": {}, "ModelName": {"Default": "x"}, "Extra": {"Default": 1}}}
    values = template_parameters(template, Settings({"STAGE": "b"}), {"Stage": "a", "Unused": "-"})
    assert values == {"Stage": "a", "ModelName": "wine_quality_model"}


def test_a_parameter_without_a_value_is_a_mistake():
    with pytest.raises(KeyError, match="Nowhere"):
        template_parameters({"Parameters": {"Nowhere": {}}}, Settings({}), {})


class TestBuckets:
    settings = Settings({"CAPTURE_BUCKET": "ccc", "REPORT_BUCKET": "rrr"})

    def test_missing_ones_are_made(self):
        made = bucket_parameters(self.settings, NOTHING, {})
        assert made == {"CreateCaptureBucket": "true", "CreateReportBucket": "true"}

    def test_one_that_was_there_before_stays_somebody_elses(self):
        made = bucket_parameters(self.settings, frozenset({"ccc"}), {})
        assert made == {"CreateCaptureBucket": "false", "CreateReportBucket": "true"}

    def test_one_that_the_stack_made_stays_in_it(self):
        previous = {"CaptureBucket": "ccc", "CreateCaptureBucket": "true"}
        made = bucket_parameters(self.settings, frozenset({"ccc", "rrr"}), previous)
        assert made == {"CreateCaptureBucket": "true", "CreateReportBucket": "false"}
