"""Facts about the served version, for checks."""

from analysis_stage import AnalysisStage
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch_cli.checks.served import _newest_result


def test_until_the_schedule_runs_a_result_on_request_says_why_a_gauge_is_missing():
    stage = AnalysisStage()
    reports = S3ReportStore(InMemoryS3(), "bucket")
    stage.make_service(reports)
    assert _newest_result(reports, "wine", "1") is None
    (asked,) = stage.analyze().results
    assert _newest_result(reports, "wine", "1") == asked
    assert _newest_result(reports, "wine", "2") is None
    (planned,) = stage.run_after(seconds=0).results
    assert _newest_result(reports, "wine", "1") == planned
