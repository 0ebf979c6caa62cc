"""What stands above Evidently's report: whose it is, and why each feature has its status."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from modelwatch.adapters.results.pictures import picture
from modelwatch.domain.numbers import rounded
from modelwatch.domain.profiles import Profile
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.features import drift_strength
from modelwatch.domain.verdict.results import FeatureDrift, WindowVerdict

_STYLE = (
    "<style>.modelwatch{font:14px/1.5 sans-serif;max-width:1200px;margin:1.5em auto;padding:0 1em}"
    ".modelwatch td,.modelwatch th{padding:.2em .8em .2em 0;text-align:left}"
    ".modelwatch .pictures{display:flex;flex-wrap:wrap}.modelwatch figure{width:360px;margin:1em}"
    ".modelwatch .reference{fill:#8a95a5}.modelwatch .window{fill:#c02a2a}"
    ".modelwatch svg text{font-size:9px;text-anchor:middle}</style>"
)
_KEY = "<p>Share of the rows by value: the reference is grey, the window red.</p>"
_MOST_PICTURES = 12
_COLUMNS = (
    "feature", "importance", "status", "score", "critical score", "from", "threshold",
    "p-value", "why",
)  # fmt: skip


def heading(
    title: str,
    verdict: WindowVerdict,
    sample_rows: int,
    notes: Sequence[str] = (),
    profiles: tuple[Profile, Profile] | None = None,
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
    profiles
        Of reference and window: what drifted has a picture.
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
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"{_pictures(verdict, *profiles) if profiles else ''}</section>"
    )
    return page.encode()


def _pictures(verdict: WindowVerdict, reference: Profile, window: Profile) -> str:
    columns = [(name, reference.features, window.features) for name in verdict.drifted_features]
    columns += [
        (each.feature, reference.predictions, window.predictions)
        for each in verdict.outputs
        if each.status == "drift"
    ]
    drawn = "".join(
        picture(name, Distribution.of_column(before[name]), Distribution.of_column(now[name]))
        for name, before, now in columns[:_MOST_PICTURES]
        if name in before and name in now
    )
    return f'<div class="pictures">{drawn}</div>{_KEY}' if drawn else ""


def _cells(feature: FeatureDrift) -> tuple[str, ...]:
    numbers = (feature.score, feature.critical_score, feature.p_value)
    score, critical, p_value = ("" if each is None else rounded(each, 3) for each in numbers)
    origin = feature.critical_from if critical else ""
    return (
        feature.feature, "" if feature.importance is None else f"{feature.importance:.0%}",
        feature.status, score, critical, origin, f"{feature.threshold:g}", p_value, feature.reason,
    )  # fmt: skip
