"""Reading shares from the command line."""

import pytest

from modelwatch.domain.routing import RegisteredModel, Routing
from modelwatch.errors import InvalidInputError, NoModelError
from modelwatch_cli.serving.commands import parse_routing, refuse_unknown_aliases, why_not_served
from modelwatch_cli.settings import Settings


@pytest.mark.parametrize(
    ("weights", "shadows", "routing"),
    [
        ([], [], None),
        (["champion=90", "challenger=10"], [], Routing({"champion": 90, "challenger": 10})),
        (["champion=1"], ["new", "new"], Routing({"champion": 1}, ("new",))),
        ([], ["new"], Routing({"production": 1}, ("new",))),
    ],
)
def test_shares_are_read(weights, shadows, routing):
    assert parse_routing(weights, shadows, "production") == routing


@pytest.mark.parametrize(
    ("weights", "shadows", "words"),
    [
        (["champion"], [], "champion=90"),
        (["champion=-1"], [], "champion=-1"),
        (["=5"], [], "alias=share"),
        (["a=1", "a=2"], [], "twice"),
        (["a=0", "b=0"], [], "more than 0"),
        (["a=1"], ["a"], "both serve and be a shadow"),
    ],
)
def test_what_is_no_routing_is_refused(weights, shadows, words):
    with pytest.raises(InvalidInputError, match=words):
        parse_routing(weights, shadows, "production")


def test_an_alias_that_the_model_has_not_is_refused_with_the_way_to_make_it():
    model = RegisteredModel("wine", {"champion": "1"}, None)
    refuse_unknown_aliases(model, Routing({"champion": 1}))
    with pytest.raises(
        NoModelError, match=r"'new' \(it has: champion\).*promote VERSION --alias new"
    ):
        refuse_unknown_aliases(model, Routing({"champion": 1}, ("new",)))


@pytest.mark.parametrize(
    ("routing", "environ", "alias", "said"),
    [
        (None, {}, None, ""),
        (None, {}, "production", ""),
        (None, {}, "candidate", "it follows 'production', not 'candidate'"),
        (Routing({"champion": 1}, ("new",)), {}, "new", ""),
        (Routing({"champion": 1}), {}, None, "it follows 'champion', not 'production'"),
        (None, {"MODEL_STAGE": "Production"}, None, ""),
        (None, {"MODEL_STAGE": "Production"}, "production", "it follows the stage 'Production'"),
    ],
)
def test_a_move_that_changes_nothing_that_serves_is_said(routing, environ, alias, said):
    model = RegisteredModel("wine", {}, routing)
    why = why_not_served(model, Settings(environ), alias)
    assert said in why
    assert bool(said) == bool(why)
