"""What plots draw: lines, bars and words; without a display."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.dates import num2date

import modelwatch
from modelwatch.captures_reading import Captures
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift
from modelwatch.errors import InvalidInputError
from modelwatch.plots import plot_feature
from modelwatch.result_table import Results
from wine_records import wine_result

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def feature(name: str, score: float | None, **given: Any) -> FeatureDrift:
    fields: dict[str, Any] = {"kind": "numerical", "method": "wasserstein", "threshold": 0.1}
    status = "unknown" if score is None else "drift" if score >= 0.2 else "ok"
    fields |= {"score": score, "critical_score": 0.2, "status": status} | given
    return FeatureDrift(feature=name, **fields)


def result(hour: int, *features: FeatureDrift, **given: Any) -> AnalysisResult:
    return wine_result(
        window="PT1H",
        window_end=NOON + timedelta(hours=hour),
        features=features,
        **given,
    )


def lines(axes: Any) -> dict[str, list[float]]:
    return {each.get_label(): list(each.get_ydata()) for each in axes.lines}


def legend(axes: Any) -> list[str]:
    return [each.get_text() for each in axes.get_legend().get_texts()]


def test_scores_are_drawn_over_time_with_their_critical_line():
    newest_first = [
        result(3, feature("$ash$", 0.3)),
        result(2, feature("$ash$", None)),
        result(0, feature("$ash$", 0.05), feature("wine", 0.1)),
    ]
    (axes,) = Results(newest_first).plot("$ash$").axes
    assert axes.get_title() == "$ash$"
    drawn = lines(axes)
    np.testing.assert_array_equal(drawn["score"], [0.05, np.nan, 0.3])
    np.testing.assert_array_equal(drawn["critical"], [0.2, np.nan, 0.2])
    assert (drawn["drift"], drawn["unknown"]) == ([0.3], [0.0])
    assert legend(axes) == ["score", "critical", "drift", "unknown"]
    times = num2date(axes.lines[0].get_xdata(orig=False))
    assert times == [NOON, NOON + timedelta(hours=2), NOON + timedelta(hours=3)]
    assert axes.get_xlabel() == "end of the window, UTC"
    assert axes.get_ylabel() == "wasserstein"


def test_versions_windows_and_methods_are_lines_of_their_own():
    found = Results(
        [
            result(1, feature("a", 0.1), model_version="4"),
            result(1, feature("a", 0.04, method="ks", threshold=0.05, critical_score=None)),
            result(0, feature("a", 0.15)),
        ]
    )
    (axes,) = found.plot("a").axes
    drawn = lines(axes)
    assert drawn["score, version 1, wasserstein"] == [0.15]
    assert drawn["score, version 4, wasserstein"] == [0.1]
    # in the mode classic the threshold decides
    assert drawn["critical, version 1, ks"] == [0.05]
    assert axes.get_ylabel() == "ks, wasserstein (low is drift)"


def test_by_default_the_features_that_went_furthest_are_drawn():
    low = feature("p", 0.001, method="ks", threshold=0.05, critical_score=0.01)
    several = [feature(f"f{index}", 0.02 * index) for index in range(8)]
    out = feature("prediction", 0.9)
    found = Results([result(0, low, *several, feature("none", None), outputs=(out,))])
    titles = [axes.get_title() for axes in found.plot().axes]
    assert titles == ["p", "prediction", "f7", "f6", "f5", "f4"]
    assert [axes.get_title() for axes in found.plot("f0", "f1").axes] == ["f0", "f1"]
    (empty,) = Results().plot().axes
    assert [each.get_text() for each in empty.texts] == ["no scores"]
    with pytest.raises(InvalidInputError, match="'alcohol' is not known; there are: f0, f1"):
        found.plot("alcohol")


def bars(axes: Any) -> list[dict[float, float]]:
    """Return the height of each side's bars by their middle."""
    return [
        {round(bar.get_x() + bar.get_width() / 2, 3): bar.get_height() for bar in side}
        for side in axes.containers
    ]


def captured(**columns: Any) -> Captures:
    profile = modelwatch.profile(pa.table(columns))
    return Captures("wine", NOON, NOON + timedelta(hours=1), {"3": profile}, pa.table({}))


def test_numbers_are_drawn_as_shares_beside_the_reference():
    draw = np.random.default_rng(1)
    window = np.append(draw.normal(2, 1, 900), [np.nan] * 100)
    (axes,) = captured(x=window).plot("x", pd.DataFrame({"x": draw.normal(0, 1, 5000)})).axes
    reference, found = bars(axes)
    assert len(reference) == 30
    assert sum(reference.values()) == pytest.approx(1)
    assert sum(found.values()) == pytest.approx(0.9)
    assert sum(x * y for x, y in reference.items()) == pytest.approx(0, abs=0.1)
    assert sum(x * y for x, y in found.items()) == pytest.approx(0.9 * 2, abs=0.1)
    assert legend(axes) == ["reference: 5,000 rows", "window: 1,000 rows, 10.0% missing"]
    assert axes.get_title() == "x\nwine, 2026-03-01 12:00 to 2026-03-01 13:00 UTC"
    assert axes.get_ylabel() == "share of rows"


def test_a_few_far_values_do_not_hide_the_others():
    values = np.append(np.linspace(0, 1, 1000), 1e308)
    (axes,) = captured(x=values).plot("x", pa.table({"x": np.append(values, -1e308)})).axes
    assert axes.get_xlim()[1] < 2
    assert sum(bars(axes)[0].values()) == pytest.approx(1)
    assert "outermost bars" in axes.get_xlabel()


def test_whole_numbers_have_bins_of_equal_size():
    ages = np.tile(np.arange(50), 20)
    (axes,) = captured(x=ages).plot("x", pa.table({"x": ages})).axes
    heights = list(bars(axes)[0].values())
    assert heights == pytest.approx([2 / 50] * 25)
    (axes,) = captured(x=[1, 1, 2]).plot("x", pa.table({"x": [2.0, 7.5]})).axes
    assert [each.get_text() for each in axes.get_xticklabels()] == ["1", "2", "7.5"]
    assert [list(side.values()) for side in bars(axes)] == [
        [0, 0.5, 0.5], pytest.approx([2 / 3, 1 / 3, 0]),
    ]  # fmt: skip


def test_categories_are_bars_by_name():
    long = "x" * 50
    window = ["red", "$red$", long, None]
    (axes,) = captured(c=window).plot("c", pa.table({"c": ["red", "red", "white"]})).axes
    assert [each.get_text() for each in axes.get_xticklabels()] == [
        "red", "white", "$red$", "x" * 29 + "…", "(missing)",
    ]  # fmt: skip
    reference, found = (list(side.values()) for side in bars(axes))
    assert reference == pytest.approx([2 / 3, 1 / 3, 0, 0, 0])
    assert found == [0.25, 0, 0.25, 0.25, 0.25]
    many = [f"c{index:02}" for index in range(30)]
    (axes,) = captured(c=many).plot("c", pa.table({"c": [True, False]})).axes
    labels = [each.get_text() for each in axes.get_xticklabels()]
    assert (labels[:3], labels[-1], len(labels)) == (["false", "true", "c00"], "(others)", 21)
    assert bars(axes)[1][20.2] == pytest.approx(12 / 30)


def test_a_feature_may_be_of_one_side_or_without_a_value_or_of_mixed_types():
    (axes,) = captured(new=[1.5, 2.5]).plot("new", pa.table({"old": [1]})).axes
    assert legend(axes) == ["reference: no such feature", "window: 2 rows"]
    (axes,) = captured(x=pa.array([None, None])).plot("x", pa.table({"x": [np.nan]})).axes
    assert [each.get_text() for each in axes.texts] == ["no values"]
    (axes,) = captured(x=["a", "b", "b"]).plot("x", pa.table({"x": [1.0, 2.0]})).axes
    assert [each.get_text() for each in axes.get_xticklabels()] == ["b", "a", "(numbers)"]
    (axes,) = captured(x=[np.inf, 1.0]).plot("x", captured(x=["n/a", "n/a", "?"])).axes
    assert legend(axes)[1] == "window: 2 rows, 50.0% infinite"
    with pytest.raises(InvalidInputError, match="'y' is not known; there are: x"):
        captured(x=[1]).plot("y", pa.table({"x": [1]}))


def test_figures_are_pictures_also_in_notebooks(tmp_path):
    figure = plot_feature(*[modelwatch.profile(pa.table({"x": [1.0, 2.0]}))] * 2, "x", "t")
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "x.svg")
    assert "<svg" in (tmp_path / "x.svg").read_text()


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    for name in [each for each in sys.modules if each.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'modelwatch\[plot\]'"):
        Results().plot()


def test_no_display_and_no_pyplot_is_needed():
    code = (
        "import sys\n"
        "from modelwatch.result_table import Results\n"
        "assert 'matplotlib' not in sys.modules\n"
        "Results().plot()._repr_png_()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"MPLBACKEND": "TkAgg"})
