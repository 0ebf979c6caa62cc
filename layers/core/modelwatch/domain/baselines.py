"""Named baselines: what windows are compared with in place of a version's own training data."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime

import msgspec

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError

TRAINING = "training"
"""Name that stands for each version's own training data: the default."""

FORMAT = 1
"""Version of how a baseline is written down."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class TrainingData(msgspec.Struct, frozen=True, tag="training"):
    """A baseline from the training data of a version."""

    version: str

    def __str__(self) -> str:
        return f"training data of version {self.version}"


class CapturedWindow(msgspec.Struct, frozen=True, tag="window"):
    """A baseline from what was captured of a version from ``start`` to before ``end``."""

    version: str
    start: datetime
    end: datetime

    def __str__(self) -> str:
        span = f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
        return f"version {self.version}, {span}"

    @property
    def window(self) -> Window:
        """The time from ``start`` to ``end``."""
        return Window(self.start, self.end)


class RollingWindow(msgspec.Struct, frozen=True, tag="rolling"):
    """A baseline from the captures of the analyzed version before the analyzed window.

    Attributes
    ----------
    length
        How much of them, as an ISO 8601 duration such as ``P7D``.
    """

    length: str

    def __str__(self) -> str:
        return f"the {self.length} before the window"

    def before(self, window: Window) -> Window:
        """Return the time that ``window`` is compared with: it ends where ``window`` starts.

        Examples
        --------
        >>> from datetime import UTC
        >>> window = Window.ending(datetime(2026, 1, 9, 1, tzinfo=UTC), seconds=3600)
        >>> f"{RollingWindow('P7D').before(window).start:%d %H:%M}"
        '02 00:00'
        """
        return Window(window.start - parse_duration(self.length), window.start)


Origin = TrainingData | CapturedWindow | RollingWindow


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A baseline, without its profile and its constraints, which the store keeps beside it.

    Attributes
    ----------
    name, model_name
        Names are the model's own.
    origin
        Where its rows come from.
    made_at
        When it was made.
    rows
        Rows of its profile; of a rolling one, of that by which its constraints were learned.
    profile_sha256
        Digest of its profile as it is stored.
    model_version
        The version that it is for; empty: for every version of the model.
    episode
        Id of the episode that it accepts as the new normal; empty otherwise.
    pairs
        The strongest relations between two of its features.
    """

    name: str
    model_name: str
    origin: Origin
    made_at: datetime
    rows: int
    profile_sha256: str = ""
    model_version: str = ""
    episode: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    format: int = FORMAT

    def applies_to(self, version: str) -> bool:
        """Return whether windows of ``version`` are compared with it, when it is in use."""
        return self.model_version in ("", version)


def check_name(name: str) -> str:
    """Return ``name`` when a baseline may be called so.

    Raises InvalidInputError when it may not.

    Examples
    --------
    >>> check_name("black-friday")
    'black-friday'
    """
    if name == TRAINING:
        raise InvalidInputError(
            "name", f"'{TRAINING}' is the name of each version's own training data"
        )
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            "name",
            f"'{name[:80]}' is not made of up to 64 letters, digits, '-' and '_', the first of "
            "them a letter or digit",
        )
    return name


def refusal(
    *,
    reference_rows: int,
    min_rows: int,
    window: Window,
    reference_window: Window | None = None,
    same_version: bool = True,
    objects: Collection[str] = (),
    reference_objects: Collection[str] = (),
) -> str:
    """Return why a reference cannot be compared with a window; empty when it can.

    It must have enough rows, and none of the window's: what is compared with itself never drifts.

    Parameters
    ----------
    reference_rows, min_rows
        Rows that it has, and the fewest that it needs.
    window, reference_window
        What is analyzed, and when the reference was captured; None for training data.
    same_version
        Whether both are captures of the same model version (and variant).
    objects, reference_objects
        Names of the stored objects that the rows of both come from. They show that both are the
        same even where the times do not. Part of them in common is not enough for a refusal: an
        hour that was merged into one object is neighbour to the next window.

    Examples
    --------
    >>> from datetime import UTC
    >>> hour = Window.ending(datetime(2026, 1, 9, 1, tzinfo=UTC), seconds=3600)
    >>> refusal(reference_rows=12, min_rows=100, window=hour)
    'the reference has 12 rows; 100 are needed'
    >>> refusal(reference_rows=500, min_rows=100, window=hour, reference_window=hour)
    'the reference is the window itself'
    """
    if reference_rows < min_rows:
        return f"the reference has {reference_rows} rows; {min_rows} are needed"
    if not same_version:
        return ""
    if reference_window == window:
        return "the reference is the window itself"
    if (
        reference_window is not None
        and reference_window.start < window.end
        and window.start < reference_window.end
    ):
        start = max(reference_window.start, window.start)
        end = min(reference_window.end, window.end)
        return (
            f"the reference has the window's rows of {start:%Y-%m-%d %H:%M} to "
            f"{end:%Y-%m-%d %H:%M} UTC"
        )
    if reference_window is None and objects and set(objects) == set(reference_objects):
        return "the reference is made of the same objects as the window"
    return ""
