"""What `make scan` leaves out has its reason in the documentation, and no more is written there."""

import re
from pathlib import Path

import control_tower
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
    assert explained == control_tower.LEFT_OUT
