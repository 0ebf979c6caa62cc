"""Whatever comes to a border that is not HTTP: a value, or the border's own error that helps.

The HTTP borders are in `tests/functional/test_conformance.py`.
"""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from examples import examples
from modelwatch.domain.constraints import decode_constraints, encode_constraints
from modelwatch.domain.durations import parse_duration
from modelwatch.domain.labels import Label
from modelwatch.domain.segments import parse_segments
from modelwatch.domain.segments.expressions import Expression
from modelwatch.errors import ModelwatchError, SettingError
from modelwatch.metric_names import CATALOG, NAMESPACE
from modelwatch_bridge.lines.interpretation import interpret
from modelwatch_cli.capture.label_files import COLUMNS, Problem, read_labels
from modelwatch_cli.settings import Settings

NOW_MS = 1_800_000_000_000
ID = "018bcfe5-6800-7000-8000-000000000000"
HUGE = 10**400

numbers = st.sampled_from([HUGE, -HUGE, 2**63, 2**53 + 1, 1e308, 5e-324, -0.0, 10**309]) | (
    st.integers() | st.floats()
)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=20)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def as_json(value):
    return json.dumps(value, ensure_ascii=False)


def tried(work):
    """Return what ``work`` gives and None, or None and the project's own error."""
    try:
        return work(), None
    except ModelwatchError as error:
        return None, error


# --- the bridge


def emf_lines():
    """Draw lines that look like EMF: with the catalog's names, and anything in every place."""
    metric = st.sampled_from(list(CATALOG.values()))
    names = metric.map(lambda each: each.name) | st.text(max_size=5)
    definition = st.fixed_dictionaries({"Name": names | anything}) | anything
    labels = metric.map(lambda each: [list(each.labels)])
    directive = st.fixed_dictionaries(
        {"Namespace": st.just(NAMESPACE) | anything, "Metrics": st.lists(definition) | anything},
        optional={"Dimensions": labels | anything},
    )
    directives = st.lists(directive | anything, max_size=3) | anything
    bridge = st.lists(names) | anything
    root = st.fixed_dictionaries({"CloudWatchMetrics": directives, "BridgeMetrics": bridge})
    keys = st.sampled_from(["model_name", "method", "endpoint", *CATALOG])
    values = st.dictionaries(keys, st.lists(numbers, max_size=3) | scalars, max_size=6)
    return st.tuples(values, root | anything).map(
        lambda pair: as_json({**pair[0], "_aws": pair[1]})
    )


COUNTER = next(each for each in CATALOG.values() if each.kind == "counter" and each.labels)


def counter_line(value, label="x"):
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(COUNTER.labels)],
        "Metrics": [{"Name": COUNTER.name}],
    }
    document = {"_aws": {"CloudWatchMetrics": [directive]}, COUNTER.name: 12345}
    document |= dict.fromkeys(COUNTER.labels, "LABEL")
    return json.dumps(document).replace("12345", value).replace('"LABEL"', label)


@settings(max_examples=examples(200))
@given(
    line=st.one_of(
        emf_lines(),
        st.text(),
        st.text().map(lambda text: '{"_aws": ' + text),
        st.text(st.sampled_from("REPOT RequestId:\tDuration 1.eE9+ms MB")).map("REPORT {}".format),
    )
)
@example(counter_line("9" * 400, '"x"'))
@example(counter_line("9" * 5000, '"x"'))
@example(counter_line("1e999", '"x"'))
@example(counter_line("1", "9" * 5000))
@example(counter_line("1", "9" * 400))
@example('{"_aws": ' + "[" * 100_000)
@example('{"_aws": ' + '{"a": ' * 100_000)
@example(
    '{"_aws": {"CloudWatchMetrics": [{"Namespace": "modelwatch", "Metrics": [{"Name": []}]}]}}'
)
@example(
    "REPORT RequestId: x\tDuration: 1e308 ms\tBilled Duration: 1e308 ms\tMemory Size: 1e308 MB"
)
@example(
    "REPORT RequestId: x\tDuration: 1 ms\tBilled Duration: 1e308 ms\tMemory Size: 1e308 MB"
    "\tMax Memory Used: 1e308 MB"
)
def test_any_line_of_a_log_gives_readings_or_is_counted(line):
    found = interpret(line, "function", CATALOG)
    for reading in found.readings:
        assert all(type(value) is float and math.isfinite(value) for value in reading.values)
        assert all(type(label) is str and len(label) <= 128 for label in reading.labels)
        assert len(reading.labels) == len(reading.metric.labels)
    assert found.parse_errors >= 0


@pytest.mark.parametrize(
    "line",
    [
        counter_line("9" * 400, '"x"'),
        counter_line("9" * 5000, '"x"'),
        counter_line("1", "9" * 5000),
        counter_line("-1", '"x"'),
        counter_line("NaN", '"x"'),
        '{"_aws": ' + "[" * 100_000,
        '{"_aws": {"CloudWatchMetrics": 5}}',
        "REPORT RequestId: x\tDuration: 1 ms\tBilled Duration: 1e308 ms\tMemory Size: 1e308 MB"
        "\tMax Memory Used: 80 MB",
    ],
    ids=range(8),
)
def test_a_line_that_cannot_be_used_is_one_parse_error(line):
    found = interpret(line, "function", CATALOG)
    assert (found.parse_errors, found.readings) == (1, [])


# --- files of labels

label_fields = st.dictionaries(st.sampled_from(COLUMNS) | st.text(max_size=5), anything, max_size=5)
label_texts = st.one_of(
    st.lists(label_fields | anything, max_size=3).map(as_json),
    st.lists(label_fields.map(as_json) | st.text(max_size=30), max_size=3).map("\n".join),
    st.lists(st.text(max_size=20), max_size=4).map(
        lambda rows: "\n".join(["event_id,label", *rows])
    ),
    st.lists(numbers, max_size=3).map(
        lambda values: "event_id,label\n" + "\n".join(f"{'0' * 8},{value}" for value in values)
    ),
    st.text(),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("labels") / "labels"


@settings(max_examples=examples(150))
@given(data=label_texts.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary())
@example(data=f"event_id,label\n{ID},".encode() + b"9" * 5000)
@example(data=f'event_id,label\n{ID},"'.encode() + b"x" * 200_000)
@example(data=f"event_id,label\n{ID},1e999".encode())
@example(data=b"event_id,label\n\x00,1")
@example(data=b'"')
@example(data=b"[" * 100_000)
@example(data=b'{"label": ' * 100_000)
def test_any_file_of_labels_gives_labels_or_says_where_it_is_wrong(path, data):
    path.write_bytes(data)
    for as_text in (False, True):
        found, error = tried(lambda text=as_text: list(read_labels(path, NOW_MS, as_text=text)))
        assert error is None or str(path) in str(error)
        for each in found or ():
            if isinstance(each, Problem):
                assert each.line >= 1
                assert each.problem
            else:
                assert isinstance(each, Label)
                assert isinstance(each.label, str) or math.isfinite(each.label)


# --- expressions and segments

WORDS = (
    "alcohol colour x `a b` 13 1e999 0x1f 1j None True 'white' and or not in is ( ) [ ] , < > <= "
    "== != - + ~ lambda x: if else f'{x}' b'' ; : := @ \\ # ` \" ' 99999999999999999999 ﬁ"
)
words = st.sampled_from([*WORDS.split(" "), "\n", "\x00", "\ud800", '"red"'])
expressions = st.one_of(
    st.lists(words, max_size=12).map(" ".join), st.text(max_size=40), st.text("()[]not -~`'\"<=")
)
COLUMNS_OF_ROWS = {
    "alcohol": np.array([1.0, np.nan, math.inf]),
    "colour": np.array(["red", None, "white"], dtype=object),
    "x": np.array([True, False, True]),
}


@settings(max_examples=examples(300))
@given(text=expressions)
@example("alcohol > " + "9" * 400)
@example("alcohol > 1e999")
@example("alcohol > -" + "9" * 900)
@example("not " * 249 + "x")
@example("(" * 400 + "x" + ")" * 400)
@example("-" * 990 + "1")
@example("x" + "[0]" * 300)
@example("ﬁ > 1")
@example("alcohol > '\\d'")
def test_any_expression_gives_rows_or_says_what_is_wrong(text):
    for parse in (Expression, parse_segments):
        parsed, error = tried(lambda parse=parse: parse(text, "segments"))
        if error is not None:
            assert error.field == "segments"
            assert error.problem
            continue
        found = parsed.rows(COLUMNS_OF_ROWS, 3)
        for rows in [found] if isinstance(parsed, Expression) else found.values():
            assert rows.shape == (3,)
            assert rows.dtype == np.bool_


@settings(max_examples=examples(100))
@given(name=st.text(min_size=1, max_size=20).filter(str.isidentifier))
@example("ﬁeld")
def test_a_column_is_the_one_that_stands_there(name):
    """Python's parser takes some letters for others; a segment must not watch another column."""
    parsed, error = tried(lambda: Expression(f"{name} > 1"))
    if error is None:
        assert parsed.columns == {name}
    else:
        assert "backticks" in error.problem


# --- documents of constraints

RULES = ["kind", "missing", "infinite", "whole", "range", "categories", "constant", "varying"]
rule_fields = st.sampled_from(
    ["allowed_share", "reference", "kind", "minimum", "maximum", "known", "value", "largest_share"]
)
rules = st.dictionaries(rule_fields, numbers | anything, max_size=4) | anything
constraint_documents = st.fixed_dictionaries(
    {
        "format": st.just(1) | anything,
        "columns": st.dictionaries(
            st.text(max_size=5),
            st.dictionaries(st.sampled_from(RULES) | st.text(max_size=3), rules) | anything,
            max_size=3,
        )
        | anything,
    },
    optional={"extra_columns": rules, "reference_rows": anything, "failed_predictions": rules},
)


def constraint(rule, **values):
    """Return a document with one rule, with texts of JSON as its values."""
    fields = ", ".join(f'"{name}": {value}' for name, value in values.items())
    rules = f'{{"{rule}": {{"allowed_share": 0, {fields}}}}}'
    return f'{{"format": 1, "columns": {{"a": {rules}}}}}'.encode()


@settings(max_examples=examples(200))
@given(
    payload=st.one_of(
        (constraint_documents | anything)
        .map(as_json)
        .map(lambda text: text.encode(errors="replace")),
        st.binary(),
    )
)
@example(constraint("constant", value="9" * 400))
@example(constraint("range", minimum="9" * 400, maximum="1"))
@example(constraint("range", minimum="1e999", maximum="1"))
@example(b"[" * 100_000)
@example(b'{"format": 1, "columns": ' + b'{"a": ' * 100_000)
@example(b'{"format": %s}' % (b"9" * 5000))
@example(b'{"format": 1, "columns": {}, "reference_rows": %s}' % (b"9" * 400))
def test_any_document_of_constraints_is_read_or_refused(payload):
    found, error = tried(lambda: decode_constraints(payload))
    if error is not None:
        assert error.problem
        return
    assert decode_constraints(encode_constraints(found)) == found


# --- settings

setting_texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["9" * 400, "1e999", "nan", "-1", "²", "٣"]),
    st.sampled_from(
        ["PT1H", "P" + "9" * 5000 + "D", "PT1H,P7D/P1D", "rate(1 minut)", "cron(* * * * ? *)", "1H"]
    ),
    st.text("PTWDHMS0123456789.,/", max_size=12),
    st.text("rate(con) 0123456789*?,-/LW#", max_size=20).map(lambda text: f"cron({text})"),
)


@settings(max_examples=examples(300))
@given(setting=st.sampled_from([*Settings.declared().values()]), text=setting_texts)
def test_any_text_is_a_setting_or_says_what_is_right(setting, text):
    said_in_a_message(setting, text)


LONG_TEXTS = [
    "9" * 400,
    "a" * 4000,
    "P" + "9" * 5000 + "D",
    f"rate({'9' * 5000} minutes)",
    f"cron({'9' * 5000} * * * ? *)",
    f"cron({'0,' * 2000}0 * * * ? *)",
]


@pytest.mark.parametrize("text", LONG_TEXTS, ids=lambda text: text[:8])
def test_a_long_text_of_a_setting_has_a_short_message(text):
    for setting in Settings.declared().values():
        said_in_a_message(setting, text)


def said_in_a_message(setting, text):
    _, error = tried(lambda: Settings({setting.name: text}).text(setting.name))
    if error is not None:
        assert isinstance(error, SettingError)
        assert setting.name in str(error)
        assert len(str(error)) < 1000, "a message is for reading"


@settings(max_examples=examples(100))
@given(text=st.text() | st.text("PTWDHMS0123456789.,", max_size=12))
@example("P" + "9" * 5000 + "D")
@example("PT1" + "0" * 5000 + "S")
def test_any_text_is_a_duration_or_says_what_is_right(text):
    found, error = tried(lambda: parse_duration(text, "window"))
    if error is None:
        assert found.total_seconds() > 0
    else:
        assert error.field == "window"
        assert len(str(error)) < 300
