"""Reads captured rows back from the bucket: a sample of them, and the profile of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.arrow_profiles import hash_events
from modelwatch.adapters.captures.feature_columns import unified
from modelwatch.adapters.captures.joined_labels import with_labels
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.parquet import FIXED_SCHEMA
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.comparing import profile
from modelwatch.domain.profiles import Profile, merge_profiles
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, NotFoundError
from modelwatch.results_reading import since_and_until
from modelwatch.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_ORDER = ("captured_at", "model_version", "event_id")


@dataclass(frozen=True, slots=True, eq=False)
class Captures:
    """Sampled rows of a model's captures, and the profile of all its rows in the window.

    Attributes
    ----------
    model_name
        The model.
    start, end
        The window: whole minutes, in UTC.
    profiles
        By version, the `Profile` of all captured rows in the window, not of the sample alone.
    """

    model_name: str
    start: datetime
    end: datetime
    profiles: Mapping[str, Profile]
    _table: pa.Table

    @property
    def captured(self) -> int:
        """How many distinct rows were captured in the window: the sample is of these."""
        return sum(each.rows for each in self.profiles.values())

    @property
    def predictions(self) -> float:
        """About how many predictions they stand for: more, where only a share is captured."""
        return sum(each.estimated_rows for each in self.profiles.values())

    @property
    def lost(self) -> int:
        """How many records did not reach the bucket, as far as their senders could count."""
        return sum(each.lost for each in self.profiles.values())

    def __len__(self) -> int:
        """Return how many rows there are."""
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        """Return what it is, and what is left out."""
        versions = ", ".join(self.profiles) or "none"
        return (
            f"<Captures of {self.model_name}, {Window(self.start, self.end)}: {len(self):,} of "
            f"{self.captured:,} captured rows, of about {self.predictions:,.0f} predictions; "
            f"{self.lost:,} lost; versions {versions}>"
        )

    def to_arrow(self) -> pa.Table:
        """Return the rows by time, in the columns of the bucket and those of labels.

        ``model_name`` and ``model_version`` come first. ``feature_<name>`` has one type in all
        versions; a value that it does not hold is in ``string_<name>``, ``boolean_<name>``,
        ``long_<name>`` or ``double_<name>`` of the same row. ``label`` (a number), ``label_text``
        and ``labelled_at`` are of the label that holds now, null without one.
        """
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """Return the table of `to_arrow` for pandas: whole numbers and booleans stay what they are.

        Raises ImportError without pandas.
        """
        import pandas as pd

        kinds = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        return self._table.to_pandas(types_mapper=kinds.get)

    def plot(self, feature: str, reference: Profile | Captures | pa.Table | pd.DataFrame) -> Figure:
        """Return a figure of a feature in this window and in a reference: shares of all their rows.

        It is drawn of the profiles, and so of all captured rows of all versions, not of the sample.
        Numbers have bars of equal width, the outermost with what lies beyond; categories those
        that are most frequent on either side. It needs no display, and is matplotlib's own:
        ``savefig`` writes it to a file.

        Parameters
        ----------
        feature
            Name of a feature or output, such as ``prediction``.
        reference
            What `modelwatch.reference` returned, a profile, a table with the feature, or captures
            of another window.

        Raises
        ------
        InvalidInputError
            When neither side has the feature, or the reference is no table.
        ImportError
            Without matplotlib: the extra ``modelwatch[plot]``.
        """
        from modelwatch.plots import plot_feature

        if isinstance(reference, Captures):
            reference = reference._profile
        if not isinstance(reference, Profile):
            reference = profile(reference)
        title = f"{self.model_name}, {Window(self.start, self.end)}"
        return plot_feature(self._profile, reference, feature, title)

    @property
    def _profile(self) -> Profile:
        return merge_profiles(list(self.profiles.values()))


def captures(
    model: str,
    *,
    version: str = "",
    since: str | datetime | timedelta | None = "P7D",
    until: str | datetime | None = None,
    limit: int = 1_000,
    settings: Settings | None = None,
) -> Captures:
    """Return sampled rows that were captured of a model, with their labels.

    The sample is the ``limit`` rows with the smallest hashes of their event ids: each row has the
    same chance, whatever hour, version or variant it is of, and the same call gives the same rows.
    `Captures` says how many there are beside them.

    They come from the bucket, for which it needs the rights to list and read.

    Parameters
    ----------
    model
        Its name.
    version
        Only of this version.
    since, until
        Window of the time of capture, as `Client.results` takes it, rounded outward to whole
        minutes; for ``since``, None is all that there is.
    limit
        Most rows. For up to 1,000, of hours that are merged only a sample of 1,000 rows is read.
    settings
        Where the bucket is; None: what the environment variables say, such as CAPTURE_BUCKET and
        AWS_ENDPOINT_URL_S3.

    Raises
    ------
    NotFoundError
        When nothing was ever captured of the model or version.
    InvalidInputError
        When a time or the limit is none.
    StoreError
        When the bucket cannot be read.

    Examples
    --------
    ::

        found = modelwatch.captures("wine", since="P1D", limit=5_000)
        print(found)
        found.to_pandas().groupby("model_version").feature_alcohol.describe()
    """
    if limit < 1:
        raise InvalidInputError("limit", "is not above 0")
    settings = settings or Settings()
    client, bucket = s3_client(settings), settings.capture_bucket
    records = S3RecordStore(client, bucket)
    versions = [each for each in records.versions_of(model) if version in ("", each)]
    if not versions:
        of_version = f" version '{version}'" if version else ""
        raise NotFoundError(f"nothing is captured of '{model}'{of_version} in '{bucket}'")
    first = min((day for each in versions for day in records.days(model, each)), default=None)
    window = _window(since, until, first)
    store = S3ProfileStore(client, bucket)
    profiles: dict[str, Profile] = {}
    tables = []
    for each in versions:
        table, found = store.sampled(model, each, window, limit)
        if table.num_rows:
            profiles[each] = merge_profiles(list(found.variants.values()))
            tables.append(_named(table, model, each))
    table = _together(tables, limit) if tables else _named(FIXED_SCHEMA.empty_table(), model, "")
    labels = S3LabelStore(client, bucket)
    # a shadow of another version has the same label
    labelled = [
        with_labels(labels, table.filter(pc.equal(table["model_version"], each)))
        for each in ["", *profiles]
    ]
    table = pa.concat_tables(labelled).sort_by([(name, "ascending") for name in _ORDER])
    return Captures(model, window.start, window.end, profiles, table)


def _window(
    since: str | datetime | timedelta | None, until: str | datetime | None, first: date | None
) -> Window:
    """Return the window that is meant; ``first`` is the first day with captures."""
    start, given_end = since_and_until(since, until)
    end = given_end or datetime.now(UTC)
    if start is None:
        day = datetime.combine(first or end.date(), time(), UTC)
        start = min(day, end - timedelta(minutes=1))
    if start >= end:
        raise InvalidInputError("since", "is in the future")
    return Window(start, end).outward()


def _named(table: pa.Table, model: str, version: str) -> pa.Table:
    """Return the rows with the names that are in their objects' keys."""
    for place, (name, value) in enumerate((("model_name", model), ("model_version", version))):
        table = table.add_column(place, name, pa.repeat(pa.scalar(value), table.num_rows))
    return table


def _together(tables: Sequence[pa.Table], limit: int) -> pa.Table:
    """Return the smallest rows of samples of several versions."""
    table = pa.concat_tables(unified(tables), promote_options="permissive")
    return table.take(np.argsort(hash_events(table), kind="stable")[:limit])
