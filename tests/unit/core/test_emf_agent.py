"""Where a function's metrics go."""

import subprocess
import sys

import pytest

from modelwatch.adapters.aws.emf import metric_sink
from modelwatch.adapters.aws.emf_agent import AgentStream
from modelwatch.errors import SettingError
from modelwatch_cli.settings import Settings


def test_standard_output_unless_an_agent_is_named():
    assert metric_sink(Settings({}))._stream is None
    named = Settings({"AWS_EMF_AGENT_ENDPOINT": "tcp://127.0.0.1:25888"})
    assert isinstance(metric_sink(named)._stream, AgentStream)


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:25888",
        "udp://127.0.0.1:25888",
        "tcp://:1",
        "tcp://here",
        "tcp://here:x",
        "tcp://[",
    ],
)
def test_an_endpoint_of_another_form_is_refused(endpoint):
    with pytest.raises(SettingError, match="AWS_EMF_AGENT_ENDPOINT"):
        AgentStream(endpoint)


def test_nothing_is_paid_for_it_where_it_is_not_used():
    code = """
import sys, modelwatch.adapters.aws.emf
print("modelwatch.adapters.aws.emf_agent" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
