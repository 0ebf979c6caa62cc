"""Sampling: uniform, nested, the same in every process, and no relation to the routing."""

import subprocess
import sys
import uuid
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.routing import Routing
from modelwatch.domain.sampling import is_sampled

rates = st.floats(0, 1)


@given(st.uuids(), rates, rates)
def test_what_a_rate_keeps_a_higher_one_keeps(event_id, one, other):
    low, high = sorted((one, other))
    assert is_sampled(str(event_id), low) <= is_sampled(str(event_id), high)


@given(st.uuids())
def test_nothing_is_kept_at_0_and_everything_at_1(event_id):
    assert not is_sampled(str(event_id), 0)
    assert is_sampled(str(event_id), 1)


@given(st.uuids(), rates)
def test_capitals_make_no_difference(event_id, rate):
    assert is_sampled(str(event_id), rate) == is_sampled(str(event_id).upper(), rate)


def ids_of_one_millisecond(count: int) -> list[str]:
    """Ids as predict makes them: the same first half, random bits in the second."""
    return [new_event_id(1_800_000_000_000) for _ in range(count)]


def test_each_rate_keeps_its_share_of_ids():
    # five standard deviations of a binomial: one failure in millions of runs
    for ids in (ids_of_one_millisecond(20_000), [str(uuid.UUID(int=n)) for n in range(20_000)]):
        for rate in (0.001, 0.1, 0.5, 0.9):
            share = sum(is_sampled(event_id, rate) for event_id in ids) / len(ids)
            assert abs(share - rate) < 5 * (rate * (1 - rate) / len(ids)) ** 0.5


def test_every_tenth_of_the_ids_is_as_large_as_the_others():
    ids = ids_of_one_millisecond(20_000)
    below = [sum(is_sampled(event_id, tenth / 10) for event_id in ids) for tenth in range(11)]
    sizes = [high - low for low, high in pairwise(below)]
    # chi-square with 9 degrees of freedom: 46 is passed once in two million runs
    assert sum((size - 2000) ** 2 / 2000 for size in sizes) < 46


def test_the_variants_of_a_routing_are_sampled_alike():
    # both follow from the event's id: with one hash for both, one variant would get the sample
    routing = Routing({"champion": 50, "challenger": 50})
    captured = [each for each in ids_of_one_millisecond(20_000) if is_sampled(each, 0.1)]
    share = sum(routing.choose(each) == "challenger" for each in captured) / len(captured)
    assert abs(share - 0.5) < 5 * (0.25 / len(captured)) ** 0.5


def test_another_process_keeps_the_same():
    ids = ids_of_one_millisecond(200)
    program = (
        "import sys; from modelwatch.domain.sampling import is_sampled; "
        "print([is_sampled(each, 0.3) for each in sys.argv[1:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *ids], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str([is_sampled(event_id, 0.3) for event_id in ids])
