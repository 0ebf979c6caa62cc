"""Steps that wait for one another."""

import threading

import pytest

from modelwatch.errors import ModelwatchError
from modelwatch_cli.deployment.cloudformation.graph import Step, StepsFailedError, run_steps


def test_a_step_runs_after_those_that_it_needs():
    order = []
    steps = {
        "c": Step(lambda: order.append("c"), ["b"]),
        "b": Step(lambda: order.append("b"), ["a"]),
        "a": Step(lambda: order.append("a")),
    }
    run_steps(steps)
    assert order == ["a", "b", "c"]


def test_steps_that_do_not_wait_run_side_by_side():
    both = threading.Barrier(2, timeout=60)
    run_steps({"a": Step(both.wait), "b": Step(both.wait)})


def test_nothing_is_begun_after_a_failure_and_what_runs_is_finished():
    done = []
    started = threading.Event()

    def slow():
        started.set()
        release.wait(60)
        done.append("slow")

    release = threading.Event()

    def fail():
        started.wait(60)
        release.set()
        raise ModelwatchError("no")

    steps = {
        "slow": Step(slow),
        "fail": Step(fail),
        "after": Step(lambda: done.append("after"), ["fail", "slow"]),
    }
    with pytest.raises(ModelwatchError, match=r"^no$"):
        run_steps(steps)
    assert done == ["slow"]


def test_several_failures_are_all_reported():
    meet = threading.Barrier(2, timeout=60)

    def fail_with(message):
        def run():
            meet.wait()
            raise ModelwatchError(message)

        return run

    with pytest.raises(StepsFailedError) as caught:
        run_steps({"a": Step(fail_with("one")), "b": Step(fail_with("two"))})
    assert sorted(str(caught.value).splitlines()) == ["one", "two"]


def test_a_mistake_in_the_code_is_not_wrapped():
    def run():
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_steps({"a": Step(run)})
