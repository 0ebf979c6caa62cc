"""Every way to get a request wrong: refused with the right status, and never a 500."""

import base64
import json

import pytest
from chalice.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples import examples
from in_memory import ConstantModel
from modelwatch.domain.schemas import Column, Schema
from modelwatch.http import MAX_BODY_BYTES
from predict_app import predict_app, service_with

SCHEMA = Schema(
    (
        Column("alcohol", "double"),
        Column("colour", "string"),
        Column("bottles", "long"),
        Column("organic", "boolean", required=False),
    )
)
ROW = {"alcohol": 13.5, "colour": "red", "bottles": 6, "organic": True}
LIST = list(ROW.values())


@pytest.fixture(scope="module")
def app():
    with predict_app(service_with(ConstantModel(prediction=1.5, schema=SCHEMA))) as app:
        yield app


@pytest.fixture(scope="module")
def post(app):
    """Return a function that posts a body: to a route, as JSON by default."""
    client = Client(app)

    def send(body, route="/predict", content_type="application/json"):
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        return client.http.post(route, headers={"Content-Type": content_type}, body=payload)

    return send


@pytest.mark.parametrize(
    "body",
    [
        {"features": LIST},
        {"features": ROW},
        {"features": {key: ROW[key] for key in ("colour", "bottles", "alcohol")}},
        {"features": ["red", 13.5, 6], "feature_names": ["colour", "alcohol", "bottles"]},
        {"features": [None, "red", 6, None]},
        {"features": [13, "red", 6.0, True], "routing_key": "user 1", "feature_names": None},
        {"features": ROW | {"colour": 'a "quoted" \\ word'}, "event_id": None},
    ],
)
def test_what_fits_is_taken(post, body):
    response = post(body)
    assert response.status_code == 200, response.body


@pytest.mark.parametrize(
    ("features", "field", "words"),
    [
        ([13.5, "red"], "features", ["found 2 values", "expected 4"]),
        (ROW | {"colr": 1}, "features.colr", ["is not a feature", "colour"]),
        ({"alcohol": 1.0, "colour": "red"}, "features.bottles", ["missing", "a whole number"]),
        (ROW | {"alcohol": "13"}, "features.alcohol", ["a string", "a number or null"]),
        (ROW | {"alcohol": True}, "features.alcohol", ["true", "a number or null"]),
        (ROW | {"colour": 5}, "features.colour", ["expected a string"]),
        (ROW | {"bottles": 1.5}, "features.bottles", ["fraction", "a whole number"]),
        (ROW | {"bottles": 2**63}, "features.bottles", ["a finite number of 64 bits"]),
        (ROW | {"bottles": 10**400}, "features.bottles", ["a finite number of 64 bits"]),
        (ROW | {"alcohol": 10**400}, "features.alcohol", ["a finite number of 64 bits"]),
        (ROW | {"bottles": None}, "features.bottles", ["found null", "a whole number"]),
        (ROW | {"organic": 1}, "features.organic", ["true or false or null"]),
        (ROW | {"alcohol": [1]}, "features.alcohol", ["got 'array'", "float"]),
        (ROW | {"a.b": {"c": 1}}, "features.a.b", ["got 'object'"]),
        ([13.5, ["red"], 6, None], "features[1]", ["got 'array'"]),
        ("red", "features", ["got 'str'", "object | array"]),
    ],
)
def test_features_that_do_not_fit_are_named(post, features, field, words):
    for body, route, prefix in (
        ({"features": features}, "/predict", ""),
        ({"rows": [LIST, features]}, "/predict/batch", "rows[1]"),
    ):
        response = post(body, route)
        assert response.status_code == 400
        assert response.headers["Content-Type"] == "application/problem+json"
        problem = response.json_body
        if not prefix:
            assert problem["field"] == field
        else:
            assert problem["field"].startswith(prefix)
            assert field.removeprefix("features") in problem["field"]
        assert all(word in problem["detail"] for word in words), problem


FEATURES = b'{"features": {"alcohol": 13.5, "colour": "red", "bottles": 6%s}}'


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b"", "", ["empty", '{"features": [...]}']),
        (b" \n ", "", ["empty"]),
        (b"null", "", ["got 'null'"]),
        (b"[1, 2]", "", ["got 'array'"]),
        (b"{}", "features", ["is missing", "'object | array'"]),
        (b'{"features": [1,', "", ["truncated"]),
        (b'{"features": [1]} x', "", ["trailing characters"]),
        (b"\xff\xfe", "", ["malformed"]),
        (b'{"features": ["\xff"]}', "", ["not UTF-8"]),
        (b'{"features": [1], "more": 2}', "more", ["no known field", "features, feature_names"]),
        (FEATURES % b', "colour": "white"', "features.colour", ["twice"]),
        (FEATURES % b', "c\\u006flour": "white"', "features.colour", ["twice"]),
        (b'{"features": [1], "features": [2]}', "features", ["twice"]),
        (b'{"features": {"alcohol": NaN}}', "features.alcohol", ["NaN", "not JSON", "null"]),
        (b'{"features": [1, -Infinity]}', "features[1]", ["-Infinity", "not JSON"]),
        (b'{"features": {"alcohol": 1e999}}', "features.alcohol", ["out of range"]),
        (b'{"features": [1, 1e999]}', "features[1]", ["out of range"]),
        (b'{"features": ' + b"[" * 100_000, "features[0]", ["got 'array'"]),
        (b'{"features": {"a": ' + b'{"a": ' * 100_000, "features", ["got 'object'"]),
        (b'{"features": [1], "event_id": "7"}', "event_id", ["UUID"]),
        (b'{"features": [1], "routing_key": "%s"}' % (b"k" * 257), "routing_key", ["256"]),
        (
            b'{"features": [1, 2], "feature_names": ["alcohol", "alcohol"]}',
            "feature_names",
            ["'alcohol'", "twice"],
        ),
    ],
)
def test_a_broken_body_is_refused_with_its_reason(post, body, field, words):
    response = post(body)
    assert response.status_code == 400, response.body
    assert response.json_body["field"] == field, response.body
    assert all(word in response.json_body["detail"] for word in words), response.body


def test_all_that_is_wrong_is_named_at_once(post):
    row = {"alcohol": "x", "colour": ["red"], "vintage": 2020}
    body = {"features": row, "event_id": "7", "routing_key": 5, "more": 1}
    in_row = {"alcohol", "bottles", "colour", "vintage"}
    response = post(body)
    assert response.status_code == 400
    fields = [each["field"] for each in response.json_body["errors"]]
    assert len(set(fields)) == len(fields)
    assert set(fields) == {"event_id", "routing_key", "more", *(f"features.{n}" for n in in_row)}
    response = post({"rows": [ROW, row, ["x"], LIST, ["x", 1, None, 1]]}, "/predict/batch")
    assert {each["field"] for each in response.json_body["errors"]} == {
        *(f"rows[1].{name}" for name in in_row),
        "rows[2]",
        *(f"rows[4].{name}" for name in ROW),
    }
    response = post({"rows": [{"alcohol": "x"}] * 1000}, "/predict/batch")
    assert len(response.json_body["errors"]) == 100


@pytest.mark.parametrize("route", ["/predict", "/predict/batch"])
def test_names_beside_features_by_name_are_refused_as_the_document_says(post, route):
    body = {"features": ROW} if route == "/predict" else {"rows": [LIST, ROW]}
    response = post({**body, "feature_names": list(ROW)}, route)
    assert (response.status_code, response.json_body["field"]) == (400, "feature_names")
    assert "only for a list" in response.json_body["detail"]
    assert [each["field"] for each in response.json_body["errors"]] == ["feature_names"]


def test_a_repeated_name_is_found_in_any_row_of_a_batch(post):
    row = b'{"alcohol": 1, "colour": "red", "bottles": 1}'
    twice = b'{"alcohol": 1, "colour": "red", "bottles": 1, "alcohol": 1}'
    response = post(b'{"rows": [%s]}' % b",".join([row] * 99 + [twice]), "/predict/batch")
    assert response.status_code == 400
    assert response.json_body["field"] == "rows[99].alcohol"


def test_batches_have_at_least_one_row_and_at_most_ten_thousand(post):
    for rows in ([], [LIST] * 10_001):
        response = post({"rows": rows}, "/predict/batch")
        assert response.status_code == 400
        assert response.json_body["field"] == "rows"
    assert post({"rows": [LIST] * 10_000}, "/predict/batch").status_code == 200


@pytest.mark.parametrize("route", ["/predict", "/predict/batch", "/model/reload"])
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 6_000_000])
def test_a_body_that_is_too_large_is_a_413(post, route, size):
    response = post(b" " * size, route)
    assert response.status_code == 413
    assert str(MAX_BODY_BYTES) in response.json_body["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "application/x-www-form-urlencoded"])
def test_another_media_type_is_a_415(post, kind):
    response = post({"features": LIST}, content_type=kind)
    assert response.status_code == 415
    assert "application/json" in response.json_body["detail"]


def test_values_that_the_model_does_not_take_are_a_422():
    model = ConstantModel(schema=SCHEMA, failure=ValueError("unknown category 'pink'"))
    with predict_app(service_with(model)) as app:
        response = Client(app).http.post(
            "/predict",
            headers={"Content-Type": "application/json"},
            body=json.dumps({"features": LIST}).encode(),
        )
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "ValueError" in response.json_body["detail"]
    assert "pink" not in response.json_body["detail"]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**500), max_value=10**500)
    | st.floats()
    | st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NAMES = st.sampled_from([*ROW, "features", ""]) | st.text(max_size=8)
FIELDS = st.sampled_from(["features", "feature_names", "event_id", "routing_key", "rows", "more"])
ROWS = st.one_of(
    st.dictionaries(NAMES, SCALARS | VALUES, max_size=6),
    st.lists(SCALARS | VALUES, max_size=6),
    st.tuples(st.floats(), st.text(), st.integers(), st.booleans() | st.none()).map(list),
)
BODIES = st.one_of(
    st.fixed_dictionaries({"features": ROWS}, optional={"routing_key": st.text(max_size=300)}),
    st.fixed_dictionaries({"features": ROWS, "feature_names": st.lists(NAMES, max_size=6)}),
    st.fixed_dictionaries({"rows": st.lists(ROWS, max_size=4)}),
    st.dictionaries(FIELDS, VALUES, max_size=4),
    VALUES,
).map(lambda value: json.dumps(value).encode())


@st.composite
def damaged(draw):
    """Return a body with some bytes of it replaced, repeated or left out."""
    body = draw(BODIES)
    at, to = sorted(draw(st.tuples(*[st.integers(0, len(body))] * 2)))
    inserted = draw(st.binary(max_size=4) | st.sampled_from([b"NaN", b'"', b"[", b"1e999"]))
    return body[:at] + inserted + draw(st.sampled_from([b"", body[at:to]])) + body[to:]


@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.one_of(BODIES, damaged(), st.binary(max_size=40)),
    route=st.sampled_from(["/predict", "/predict/batch"]),
    form=st.sampled_from(["bytes", "base64", "text"]),
)
def test_nothing_gives_a_500(app, body, route, form):
    event = {
        "requestContext": {"httpMethod": "POST", "resourcePath": route},
        "headers": {"content-type": "application/json"},
        "pathParameters": {},
        "multiValueQueryStringParameters": None,
        "stageVariables": {},
        "body": body,
    }
    if form == "base64":
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    elif form == "text":
        # API Gateway puts U+FFFD in the place of what is not UTF-8
        event["body"] = body.decode(errors="replace")
    response = app(event, None)
    assert response["statusCode"] in (200, 400), response
    problem = json.loads(response["body"])
    if response["statusCode"] == 400:
        assert {"type", "title", "status", "detail", "field", "errors"} == set(problem)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/predict", {"features": {"\ud800": 1}}),
        ("/predict/batch", {"features": {"\ud800": 1}}),
        ("/predict/batch", {"rows": [ROW | {"\ud800": 1}]}),
        ("/predict/batch", {"rows": [LIST], "feature_names": ["\udfff"]}),
        ("/predict", {"features": LIST, "\ud800": {"\ud800": "\ud800"}}),
        ("/predict", {"features": LIST, "routing_key": "\ud800"}),
    ],
)
def test_half_of_a_surrogate_pair_is_named_in_a_response_that_can_be_sent(post, route, body):
    # as every name that is wrong: json.dumps writes it as its escape
    response = post(body, route)
    assert response.status_code == 400
    assert response.json_body["errors"]
    response.body.decode()


def test_a_text_that_no_body_had_is_refused(app):
    context = {"resourcePath": "/predict", "httpMethod": "POST"}
    event = {"requestContext": context, "headers": {}, "pathParameters": None, "body": "\ud800"}
    event |= {"multiValueQueryStringParameters": None, "stageVariables": None}
    assert app(event | {"isBase64Encoded": False}, None)["statusCode"] == 400
