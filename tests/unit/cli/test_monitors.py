"""Monitor files: what they say, what is wrong with them, and how they come to hold."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.results.analysis_settings import monitored
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.domain.episodes.notes import PlannedChange
from modelwatch.domain.model_capture import MonitorCapture
from modelwatch.domain.monitors import (
    Monitor,
    MonitorSet,
    decode_monitors,
    encode_monitors,
    monitor_changes,
)
from modelwatch.domain.names import MOST_CHARACTERS
from modelwatch.domain.schemas import Column, Schema
from modelwatch.domain.verdict.rules import FeatureRule
from modelwatch.errors import ModelwatchError, MonitorError
from modelwatch_cli.main import app
from modelwatch_cli.monitors.applying import (
    compare,
    make_hold,
    require_baselines,
    roll_back,
    wanted_monitors,
)
from modelwatch_cli.monitors.capture import capture_problems
from modelwatch_cli.monitors.files import read_monitor, read_monitors
from modelwatch_cli.monitors.schema import RULES, new_file, schema
from modelwatch_cli.settings import Settings

FULL = """\
model = "churn model (v2)"
owner = "team-churn"
baseline = "april"

[labels]
tier = "1"

[table]
timestamp = "scored_at"
ignore = ["note"]

[rules]
analysis_windows = "PT1H, P7D/P1D"
analysis_min_rows = 200
drift_share_threshold = 0.25
drift_mode = "classic"
"""


@pytest.fixture
def store():
    return S3MonitorStore(InMemoryS3(), "reports")


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


def test_a_file_becomes_a_monitor(tmp_path):
    found = read_monitors([write(tmp_path, churn=FULL)], "production")
    assert found.faults == []
    assert found.monitors == {
        "churn model (v2)": Monitor(
            stage="production",
            owner="team-churn",
            baseline="april",
            labels={"tier": "1"},
            settings={
                "ANALYSIS_MIN_ROWS": "200",
                "ANALYSIS_WINDOWS": "PT1H, P7D/P1D",
                "DRIFT_MODE": "classic",
                "DRIFT_SHARE_THRESHOLD": "0.25",
            },
        )
    }


def test_single_features_have_rules_of_their_own(tmp_path):
    text = """
[features."od280/od315"]
method = "ks"
threshold = 0.01

[features.offer]
ignore = true
"""
    (monitor,) = read_monitors([write(tmp_path, wine=text)], "local").monitors.values()
    assert monitor.features == {
        "od280/od315": FeatureRule(method="ks", threshold=0.01),
        "offer": FeatureRule(ignore=True),
    }
    assert monitor.fields() == {
        "features.od280/od315.method": "ks",
        "features.od280/od315.threshold": "0.01",
        "features.offer.ignore": "true",
    }
    policy = monitored(Settings({}), monitor).rules.policy
    assert policy.ignores("offer")
    assert decode_monitors(encode_monitors(MonitorSet(monitors={"w": monitor}))).monitors == {
        "w": monitor
    }


JUDGED = """
[[expected]]
from = 2026-12-20T00:00:00+01:00
until = "2026-12-27"
reason = "winter sale"
features = ["price"]

[[expected]]
from = 2026-03-01
until = 2026-03-02T12:00:00
reason = "a test"

[features.price]
important = true

[constraints."od280/od315"]
missing = { allowed_share = 0 }
whole = false
"""


def test_a_file_says_what_is_expected_what_matters_and_what_is_asked_of_columns(tmp_path):
    (monitor,) = read_monitors([write(tmp_path, wine=JUDGED)], "local").monitors.values()
    assert monitor.planned == (
        PlannedChange(
            start=datetime(2026, 3, 1, tzinfo=UTC),
            end=datetime(2026, 3, 2, 12, tzinfo=UTC),
            reason="a test",
        ),
        PlannedChange(
            start=datetime(2026, 12, 19, 23, tzinfo=UTC),
            end=datetime(2026, 12, 27, tzinfo=UTC),
            reason="winter sale",
            features=("price",),
        ),
    )
    assert monitor.fields() == {
        "constraints.od280/od315.missing": '{"allowed_share":0}',
        "constraints.od280/od315.whole": "false",
        "expected.2026-03-01 00:00": "until 2026-03-02 12:00 UTC, all features: a test",
        "expected.2026-12-19 23:00": "until 2026-12-27 00:00 UTC, price: winter sale",
        "features.price.important": "true",
    }
    held = decode_monitors(encode_monitors(MonitorSet(monitors={"w": monitor}))).monitors["w"]
    assert held == monitor
    found = monitored(Settings({}), held)
    assert found.rules.policy.important(["age"]) == {"age", "price"}
    assert (found.planned, found.constraints) == (monitor.planned, monitor.constraints)


CAPTURE = """
[capture]
sample_rate = 0.5

[capture.fields]
"*" = "drop"
"od280/od315" = { bucket = [1, 2.5] }
email = "hash"
"""


def test_a_file_says_what_is_captured(tmp_path):
    (monitor,) = read_monitors([write(tmp_path, wine=CAPTURE)], "local").monitors.values()
    assert monitor.capture == MonitorCapture(
        sample_rate=0.5, fields={"*": "drop", "email": "hash", "od280/od315": {"bucket": [1, 2.5]}}
    )
    assert monitor.fields() == {
        "capture.sample_rate": "0.5",
        "capture.fields.*": "drop",
        "capture.fields.email": "hash",
        "capture.fields.od280/od315": '{"bucket":[1,2.5]}',
    }
    stored = encode_monitors(MonitorSet(monitors={"w": monitor}))
    assert decode_monitors(stored).monitors == {"w": monitor}


def test_rules_of_capture_that_cannot_be_meant_are_said(tmp_path):
    after = read_monitors([write(tmp_path, wine=CAPTURE)], "local").monitors
    changes = monitor_changes({}, after)
    schema = Schema((Column("email", "string"), Column("od280/od315", "string")))

    def problems(*schemas, **settings):
        return list(capture_problems(Settings(settings), changes, after, lambda _: schemas))

    key = {"CAPTURE_HASH_KEY": "a key of sixteen characters"}
    assert problems() == [
        "wine: setting CAPTURE_HASH_KEY: is not set, and its [capture] hashes 'email'"
    ]
    assert problems(**key) == []
    assert problems(schema, **key) == [
        "wine: capture.fields: 'od280/od315' is of type string, and only numbers have buckets"
    ]
    assert problems(Schema((Column("email", "string"),)), **key) == [
        "wine: capture.fields: 'od280/od315' is no feature of the model; its features are email"
    ]


SALE = "[[expected]]\nfrom = 2026-03-01\nreason = 'sale'\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("model = 'a'\nowner 1", 2, "is not TOML"),
        ("[features.a b]\nignore = true", 1, "and names with other characters than A-Z"),
        ("modle = 'a'", 1, "modle: is no part of a monitor; there are model, owner, baseline"),
        ("drift_mode = 'classic'", 1, "stands above the tables; write it below [rules]"),
        ("model = 'a/b'", 1, "'a/b' is no name of a model"),
        ("owner = 7", 1, 'owner: is a text: write owner = "..."'),
        ("\nlabels = 'x'", 2, "labels: is a table: write [labels]"),
        ("[labels]\ntier = '1,2'", 2, "labels.tier: has a comma, which ends a label on alerts"),
        (
            "[labels]\n" + "\n".join(f"l{n} = '{'x' * 199}'" for n in range(5)),
            1,
            "labels: have more than 1000 characters",
        ),
        ("[capture]\nrate = 1", 2, "capture.rate: is no part of it; there are sample_rate, fields"),
        ("[capture]\nsample_rate = '1'", 2, "capture.sample_rate: is a number"),
        ("[capture]\nsample_rate = 1.5", 2, "capture.sample_rate: '1.5' is not a share"),
        ("[capture]\nfields = 'x'", 2, "capture.fields: is a table: write [capture.fields]"),
        (
            "[capture.fields]\nemail = 'hsah'",
            2,
            'capture.fields.email: expected "keep", "drop", "hash" or {"bucket": a width',
        ),
        (
            "[capture.fields]\nage = { bucket = 0 }",
            2,
            "capture.fields.age: found 0 for its buckets",
        ),
        (
            "[capture.fields]\nprobabilities = 'hash'",
            2,
            "capture.fields.probabilities: field 'probabilities' cannot be hashed",
        ),
        ("[labels]\nTier = '1'", 2, "labels.Tier: is no name of a label: up to 40 of a-z"),
        ("[rules]\ndrift_mod = 'classic'", 2, "is no rule of a monitor; is drift_mode meant?"),
        ("[rules]\ndrift_mode = 'classik'", 2, "is classic meant?"),
        ("[rules]\n\nanalysis_min_rows = 1", 3, "'1' is not a whole number of 2 or more"),
        ("[rules]\nanalysis_min_rows = '100'", 2, "is a number: write analysis_min_rows = 100"),
        ("[rules]\nanalysis_min_rows = true", 2, "is a number: write analysis_min_rows = 100"),
        (
            "[rules]\nanalysis_windows = 60",
            2,
            'is a text: write analysis_windows = "PT1H,P1D/P1D,P7D/P1D"',
        ),
        ("[rules]\nanalysis_stale = 'P1M'", 2, "has years or months"),
        ("[rules]\nanalysis_stale = ' '", 2, "is empty; leave the rule out"),
        ("[rules]\nanalysis_segments = 'a >'", 2, "rules.analysis_segments: "),
        ("[rules]\ndrift_share_threshold = nan", 2, "'nan' is not a share"),
        ("[rules]\nanalysis_schedule = 'rate(1 minute)'", 2, "is no rule of a monitor"),
        ("baseline = 'a b'", 1, "baseline: "),
        ("[features.'a b']\nmethod = 'kss'\nthreshold = 1", 2, "features.a b.method: 'kss' is not"),
        ("[features.a]\nmethod = 'ks'", 2, "needs a threshold: the one of its kind is for another"),
        ("[features.a]\nmethod = []\nthreshold = 1", 2, "'[]' is not one of wasserstein"),
        ("[features.a]\nthreshold = -1", 2, "'-1' is not a number of 0 or more"),
        ("[features.a]\nthreshold = true", 2, "'True' is not a number of 0 or more"),
        ("[features.a]\nthreshold = 1" + "0" * 400, 2, "is not a number of 0 or more"),
        ("[features.a]\nthreshhold = 1", 2, "there are threshold, method, ignore, important; is"),
        ("[features.a]\nimportant = 1", 2, "is true or false"),
        ("[features.a]\nignore = 'yes'", 2, "is true or false"),
        ("[features.a]\nignore = true\nthreshold = 1", 1, "is ignored: nothing else holds for it"),
        ("[constraints]\na = 1", 2, "constraints.a: is a table: write [constraints.a]"),
        ("[constraints]\n'a b' = 1", 2, 'is a table: write [constraints."a b"]'),
        ("[constraints.a.b]\nwhole = false", 1, 'marks: write [constraints."a.b"]'),
        ("[constraints.a]\nrnage = { minimum = 1 }", 1, "unknown field 'rnage'"),
        ("[constraints.a]\nwhole = true", 2, "constraints.a.whole: Expected"),
        ("[constraints.a]\n\nwole = false", 1, "unknown field 'wole'; its fields are kind"),
        ("[constraints.a]\nmissing = { allowed_share = 2 }", 2, "allowed_share: Expected 'float'"),
        ("[constraints.a]\nmissing = { allowed_share = nan }", 1, "a number that is not finite"),
        ("[constraints.a]\nmissing = 2026-03-01", 2, "constraints.a.missing: Expected"),
        (
            "[constraints.a]\nrange = { minimum = 2, maximum = 1, allowed_share = 0 }",
            2,
            "constraints.a.range: the minimum 2 is above the maximum 1",
        ),
        ("expected = 'sale'", 1, "expected: is a list of tables: write [[expected]]"),
        ("[[expected]]\nfrom = 2026-03-01\nreason = 'x'", 1, "expected.1: needs until"),
        ("[[expected]]\ndays = [2026-03-01]", 1, "expected.1: needs reason"),
        ("[[expected]]\ndays = []\nreason = 'x'", 2, "expected.1.days: is a list of days: write"),
        ("[[expected]]\ndays = ['soon']\nreason = 'x'", 2, "expected.1.days: soon is no day"),
        (f"{SALE}days = [2026-03-01]", 4, "expected.1.days: stand in place of from and until"),
        (f"{SALE}until = 2026-03-01", 4, "expected.1.until: is not after from"),
        (f"{SALE}until = 2026-12-01", 4, "expected.1.until: is more than 92 days after from"),
        (f"{SALE}until = 'soon'", 4, "expected.1.until: is not a time in ISO 8601"),
        (f"{SALE}until = 7", 4, "expected.1.until: is a day or a time: write until = 2026-12-01"),
        (f"{SALE}until = 2026-03-02\nfeatures = 'a'", 5, 'features = ["price"]'),
        (f"{SALE}until = 2026-03-02\nreasn = ''", 5, "expected.1.reasn: is no part of it"),
        (
            f"{SALE}until = 2026-03-02\n{SALE}until = 2026-03-02\nfeatures = ['', 'a']",
            9,
            "expected.2.features:",
        ),
        ("[features]\na = 1", 2, "is a table: write [features.a]"),
        ('[features]\n"a\'b" = 1', 2, """is a table: write [features."a'b"]"""),
        ("[features.a.b.c]\nignore = true", 1, 'marks: write [features."a.b.c"]'),
        ("[features.'a[0]']\nignore = 1", 2, "features.a[0].ignore: is true or false"),
        ('[features."\\u00e9"]\nignore = 1', 2, "features.é.ignore: is true or false"),
        ("[features]\n'a b'.ignore = 1", 2, "features.a b.ignore: is true or false"),
        ("[features.' ']\nignore = true", 1, "is no name of a feature"),
        ("[table]\nlable = 'a'", 2, "table.lable: is no part of a table; there are version"),
        ("[table]\nfeatures = 'a'", 2, "table.features: expected `array`, got `str`"),
        ("[table]\ntimestamp_unit = 'm'", 2, "table.timestamp_unit: invalid enum value 'm'"),
        ("[table]\ntime_zone = 'Berlin'", 2, "table.time_zone: 'Berlin' is no time zone"),
        ("table = 1", 1, "table: is a table: write [table]"),
        ("[rules]\nanalysis_min_rows = " + "9" * 5000, 0, "is too large to be read"),
        ("a = " + "[" * 3000, 0, "is too large to be read"),
        ("# " + "x" * 70_000, 0, "at most 64,000 are allowed"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, text, line, words):
    folder = write(tmp_path, wine=text)
    (fault,) = read_monitors([folder], "local").faults
    assert words in str(fault)
    assert (fault.file, fault.line) == (str(folder / "wine.toml"), line)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    folder = write(tmp_path, a="owner = 1\n[rules]\ndrift_mode = 'x'", b="model = 'c'", c="")
    with pytest.raises(MonitorError) as refused:
        read_monitors([folder], "local").require_no_faults()
    assert [
        line.split(": ")[0].removeprefix(str(folder)) for line in str(refused.value).split("\n")
    ] == [
        "/a.toml:1",
        "/a.toml:3",
        "/c.toml",
    ]


@given(
    st.dictionaries(
        st.sampled_from(["model", "owner", "baseline", "labels", "rules", "expected", "x"]),
        st.text(max_size=9) | st.integers() | st.floats() | st.booleans(),
    )
)
def test_any_file_is_a_monitor_or_named_faults(tmp_path_factory, values):
    file = tmp_path_factory.mktemp("m") / "wine.toml"
    lines = [
        f"{name} = {str(value).lower() if not isinstance(value, str) else repr(value)}"
        for name, value in values.items()
    ]
    file.write_text("\n".join(lines), "utf-8", errors="ignore")
    _, monitor, faults = read_monitor(file, "local")
    assert (monitor is None) == bool(faults)


def test_the_file_that_init_writes_changes_nothing_and_each_rule_in_it_is_right(tmp_path):
    defaults = {each.name: each.default for each in RULES.values()}
    for name in ("x" * MOST_CHARACTERS, "wine"):
        text = new_file(name, ["Registry: production is version 3"], defaults)
        found = read_monitors([write(tmp_path, wine=text)], "local")
        assert (found.monitors, found.faults) == ({name: Monitor(stage="local")}, [])
    bare = "\n".join(
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line
        for line in text.splitlines()
    )
    table = tomllib.loads(bare)
    assert (
        table["rules"].keys()
        == RULES.keys()
        == schema()["properties"]["rules"]["properties"].keys()
    )
    (monitor,) = read_monitors([write(tmp_path, wine=bare)], "local").monitors.values()
    assert len(monitor.settings) == len(RULES)


def test_a_folder_is_all_and_a_file_is_one(tmp_path, store):
    folder = write(tmp_path / "monitors", wine="", beer="owner = 'b'")
    held = store.current()
    first = make_hold(store, held, "local", wanted_monitors(held, "local", [folder]), "apply")
    assert (first.number, len(first.changes)) == (1, 3)
    again = store.current()
    same = make_hold(store, again, "local", wanted_monitors(again, "local", [folder]), "apply")
    assert (same.number, same.changes) == (1, [])
    (folder / "wine.toml").unlink()
    (folder / "beer.toml").write_text("owner = 'c'")
    one = compare(again, "local", wanted_monitors(again, "local", [folder / "beer.toml"]))
    assert [(each.model_name, each.field, each.after) for each in one.changes] == [
        ("beer", "owner", "c")
    ]
    all_of_them = compare(again, "local", wanted_monitors(again, "local", [folder]))
    assert {each.model_name for each in all_of_them.changes} == {"beer", "wine"}


def test_a_rollback_to_a_baseline_that_is_gone_is_refused(store):
    gone = {"wine": Monitor(stage="local", baseline="april")}
    make_hold(store, store.current(), "local", gone, "apply")
    make_hold(store, store.current(), "local", {}, "remove")
    baselines = S3BaselineStore(InMemoryS3(), "reports")
    with pytest.raises(MonitorError, match="wine has no baseline 'april'"):
        roll_back(store, baselines, "local", 1)
    assert store.current().number == 2


def test_a_stage_changes_its_own_monitors_alone(store):
    baselines = S3BaselineStore(InMemoryS3(), "reports")
    make_hold(store, store.current(), "production", {"wine": Monitor(stage="production")}, "apply")
    make_hold(store, store.current(), "local", {"beer": Monitor(stage="local")}, "apply")
    assert store.current().monitors.keys() == {"beer", "wine"}
    with pytest.raises(MonitorError, match="wine is monitored by the stage 'production'"):
        make_hold(store, store.current(), "local", {"wine": Monitor(stage="local")}, "apply")
    assert roll_back(store, baselines, "local", None).number == 3
    assert store.current().monitors.keys() == {"wine"}
    assert roll_back(store, baselines, "local", 2).number == 4
    assert store.current().reason == "rollback to 2"
    assert [store.version(each).number for each in store.numbers()] == [1, 2, 3, 4]
    assert roll_back(store, baselines, "local", 0).changes[0].model_name == "beer"


def test_a_baseline_that_is_not_there_is_refused():
    baselines = S3BaselineStore(InMemoryS3(), "reports")
    with pytest.raises(MonitorError, match="wine has no baseline 'april'; `modelwatch baseline"):
        require_baselines(baselines, {"wine": Monitor(stage="local", baseline="april")})
    require_baselines(baselines, {"wine": Monitor(stage="local", baseline="training")})


def test_faults_have_their_lines_in_order(tmp_path):
    write(tmp_path, a="[[rules]]\nx=1", b='rules.drift_mode = "x"\nbaseline = "a/b"')
    found = read_monitors([tmp_path], "local").faults
    assert [(Path(each.file).stem, each.line) for each in found] == [("a", 1), ("b", 1), ("b", 2)]


def test_validate_says_how_many_and_exits_with_1_for_a_fault(tmp_path):
    folder = write(tmp_path, wine=FULL)
    done = CliRunner().invoke(app, ["monitors", "validate", str(folder)])
    assert (done.exit_code, done.stdout) == (0, "1 monitor is valid\n")
    write(tmp_path, wine="owner = 1")
    done = CliRunner().invoke(app, ["monitors", "validate", str(folder), "--json"])
    assert done.exit_code == 1
    assert '"line": 1' in done.stdout
    done = CliRunner().invoke(app, ["monitors", "validate", str(tmp_path / "none")])
    assert isinstance(done.exception, ModelwatchError)
    assert "`modelwatch monitors init` makes a monitor" in str(done.exception)


def test_the_holidays_of_a_year_are_one_table(tmp_path):
    file = tmp_path / "shop.toml"
    file.write_text(
        "[[expected]]\ndays = [2027-01-01, 2026-12-25]\nreason = 'holidays'\nfeatures = ['price']"
    )
    _, monitor, faults = read_monitor(file, "local")
    assert faults == []
    assert [
        (f"{each.start:%Y-%m-%d %H:%M}", f"{each.end:%Y-%m-%d %H:%M}", each.features)
        for each in monitor.planned
    ] == [
        ("2026-12-25 00:00", "2026-12-26 00:00", ("price",)),
        ("2027-01-01 00:00", "2027-01-02 00:00", ("price",)),
    ]
    many = ", ".join(f"2026-{month:02}-{day:02}" for month in range(1, 4) for day in range(1, 19))
    file.write_text(f"[[expected]]\ndays = [{many}]\nreason = 'x'")
    *_, (fault,) = read_monitor(file, "local")
    assert "has 54 changes; at most 50 are allowed" in str(fault)
