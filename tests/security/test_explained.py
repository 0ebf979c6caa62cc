"""What `make scan` leaves out has its reason in the documentation, and no more is written there."""

import re
from pathlib import Path

import control_tower
import scan
import yaml

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs/explanation/security.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]


def test_every_check_that_is_left_out_has_its_reason():
    explained = {check for row in ROWS for check in re.findall("CKV_[A-Z]+_[0-9]+", row)}
    left_out = yaml.safe_load((HERE / "checkov.yaml").read_text())["skip-check"]
    assert sorted(left_out) == sorted(explained)


def test_every_rule_of_control_tower_that_is_left_out_has_its_reason():
    explained = {rule for row in ROWS for rule in re.findall(r"`(\w+_check)`", row)}
    assert explained == {*control_tower.LEFT_OUT, control_tower.ALARM_RULE}


def broken(template, rule, *resources):
    checks = [{"Clause": {"from": {"path": f"/Resources/{each}/Properties"}}} for each in resources]
    return {
        "name": f"/folder/{template}.json",
        "not_compliant": [{"Rule": {"name": rule, "checks": [{"Rule": {"checks": checks}}]}}],
    }


def test_another_resource_may_not_break_what_one_may():
    alarms = {"Resources": {"Any": {
        "Type": "AWS::CloudWatch::CompositeAlarm",
        "Properties": {"AlarmActions": [{"Ref": "Topic"}]},
        "DependsOn": ["Part"],
    }}}  # fmt: skip
    allowed = control_tower.allowed(alarms)

    def further(template, rule, *resources):
        report = broken(template, rule, *resources)
        return {each.resource for each in control_tower.faults(report) - allowed}

    logged = "s3_bucket_logging_enabled_check"
    assert further("storage", logged, "Captures", "Reports", "Copies") == {"storage.Copies"}
    assert further("alarms", control_tower.ALARM_RULE, "Part", "Alone") == {"alarms.Alone"}
    assert further("pipeline", "sqs_dlq_check", "CaptureQueue") == {"pipeline.CaptureQueue"}
    # a fault that names no resource is no one's exception
    assert further("pipeline", "sqs_dlq_check") == {"pipeline.?"}


def test_every_threat_has_a_control_and_tests_that_are_there():
    begin = PAGE.index("| threat | control | test |")
    threats = PAGE[begin:].partition("\n\n")[0].splitlines()[2:]
    missing = []
    for row in threats:
        links = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row)
        assert links, row
        assert len(links) == row.count("::"), row
        for path, name in links:
            file = HERE.parent / path
            if not file.exists() or f"def {name}(" not in file.read_text():
                missing.append(f"{path}::{name}")
    assert missing == []


def test_every_package_of_a_lock_has_its_hash():
    for lock in scan.LOCKS.values():
        text = (HERE.parents[1] / lock).read_text()
        packages = re.findall(r"^[\w.\[\]-]+==.*\n.*", text, re.MULTILINE)
        assert packages, lock
        assert [each for each in packages if "--hash=sha256:" not in each] == [], lock
