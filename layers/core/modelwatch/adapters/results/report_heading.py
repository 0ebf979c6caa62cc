"""What stands above Evidently's report: whose it is, and why each feature has its status."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from modelwatch.domain.verdict.features import drift_strength
from modelwatch.domain.verdict.results import FeatureDrift, WindowVerdict

_STYLE = (
    "<style>.modelwatch{font:14px/1.5 sans-serif;max-width:1200px;margin:1.5em auto;padding:0 1em}"
    ".modelwatch td,.modelwatch th{padding:.2em .8em .2em 0;text-align:left}</style>"
)
_COLUMNS = (
    "feature", "importance", "status", "score", "critical score", "from", "threshold",
    "p-value", "why",
)  # fmt: skip


def heading(
    title: str, verdict: WindowVerdict, sample_rows: int, notes: Sequence[str] = ()
) -> bytes:
    """Return it as a part of a page.

    Parameters
    ----------
    title
        Model, version and window.
    sample_rows
        Rows of the window that Evidently shows.
    notes
        Sentences on the drift.
    """
    features = sorted(verdict.features, key=drift_strength, reverse=True)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(each))}</tr>"
        for each in features
    )
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    page = (
        f'{_STYLE}<section class="modelwatch"><h1>{escape(title)}: {verdict.severity}</h1>'
        f"<p>{escape(verdict.reason)}. {verdict.rows} rows, compared with "
        f"{escape(verdict.reference)} ({verdict.reference_rows} rows). "
        f"{escape(verdict.calibrated_by)}. The pictures below show a sample of {sample_rows} "
        f"rows; the verdict is of all.</p>"
        f"{''.join(f'<p>{escape(note)}.</p>' for note in notes)}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>"
    )
    return page.encode()


def _cells(feature: FeatureDrift) -> tuple[str, ...]:
    numbers = (feature.score, feature.critical_score, feature.p_value)
    score, critical, p_value = ("" if each is None else f"{each:.3g}" for each in numbers)
    origin = feature.critical_from if critical else ""
    return (
        feature.feature, "" if feature.importance is None else f"{feature.importance:.0%}",
        feature.status, score, critical, origin, f"{feature.threshold:g}", p_value, feature.reason,
    )  # fmt: skip
