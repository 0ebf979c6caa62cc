"""What `make scan` leaves out has its reason in the documentation, and no more is written there."""

import re
from pathlib import Path

import yaml

HERE = Path(__file__).parent


def test_every_check_that_is_left_out_has_its_reason():
    page = (HERE.parents[1] / "docs/explanation/security.md").read_text()
    explained = {
        check
        for line in page.splitlines()
        if line.startswith("| ")
        for check in re.findall("CKV_[A-Z]+_[0-9]+", line)
    }
    left_out = yaml.safe_load((HERE / "checkov.yaml").read_text())["skip-check"]
    assert sorted(left_out) == sorted(explained)
