"""The policies of who deploys: small enough for IAM, and what `deploy --check` asks for."""

import json
import re
import sys
from pathlib import Path

import pytest

from modelwatch_cli.deployment import rights

DOCS = Path(__file__).parents[2] / "docs"
ARN = "arn:aws:iam::123456789012:user/ann"


@pytest.fixture(scope="module")
def policy():
    """The module that makes the page."""
    sys.path.insert(0, str(DOCS))
    try:
        from generator import policy
    finally:
        sys.path.remove(str(DOCS))
    return policy


@pytest.fixture(scope="module")
def statements():
    page = (DOCS / "reference" / "deploy-policy.md").read_text()
    documents = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert len(documents) == 2
    for each in documents:
        assert len(re.sub(r"\s", "", json.dumps(each))) <= 6144, "IAM takes no larger one"
    return [statement for each in documents for statement in each["Statement"]]


class Policies:
    """IAM's simulation, by the statements of the page."""

    def __init__(self, statements):
        self._statements = statements
        self.asked = 0

    def simulate_principal_policy(self, *, PolicySourceArn, ActionNames, ResourceArns):  # noqa: N803
        assert PolicySourceArn == ARN
        (resource,) = ResourceArns
        self.asked += len(ActionNames)
        return {
            "EvaluationResults": [
                {"EvalActionName": action, "EvalDecision": self._decision(action, resource)}
                for action in ActionNames
            ]
        }

    def _decision(self, action, resource):
        for each in self._statements:
            resources = each["Resource"]
            patterns = [resources] if isinstance(resources, str) else resources
            if action in each["Action"] and any(_matches(text, resource) for text in patterns):
                return "allowed"
        return "implicitDeny"


def _matches(pattern: str, arn: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), arn))


def test_what_the_check_of_a_deployment_asks_for_is_allowed(statements, policy):
    iam = Policies(statements)
    settings = policy.SETTINGS.changed({"REPORT_LOCK": "governance=30"})
    assert rights.denied_actions(settings, ARN, iam) == ([], [])
    assert iam.asked > 40


def test_no_statement_is_on_everything_that_need_not_be(statements):
    for each in statements:
        services = {action.partition(":")[0] for action in each["Action"]}
        assert len(services) == 1
        if each["Resource"] == "*":
            assert each["Sid"].endswith("Everywhere")
            assert len(each["Action"]) <= 11
        assert not any("*" in action for action in each["Action"])
