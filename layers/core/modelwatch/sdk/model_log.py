"""The calls that log what another program predicts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple

import msgspec

from modelwatch.calls import Calls
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.names import check_model_name, check_model_version
from modelwatch.domain.optional import optional_part
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch.sdk.logged import LoggedLabel, LoggedPrediction, Model, label_json, record_json
from modelwatch.sdk.sender import EXIT_SECONDS, Counts, Sender
from modelwatch.sdk.tables import TableCounts, rows_of
from modelwatch.sdk.values import event_id_of, milliseconds_of, values_by_name
from modelwatch.services.contract import AcceptedMany

_QUEUE_SIZE = 50_000
_FLUSH_SECONDS = 1.0

# a page of another server at a wrong address is no receipt
_accepted = msgspec.json.Decoder(AcceptedMany).decode


class LogCounts(NamedTuple):
    """What became of logged predictions and labels."""

    predictions: Counts
    labels: Counts


class ModelLog:
    """Logs predictions and labels of a model that is served elsewhere.

    A call only appends to a queue, from any thread or coroutine, and never raises, unless the
    client was made with ``raises=True``. A thread of its own sends. What cannot be sent is counted
    by reason in `log_counts`, and the analysis learns how many predictions it does not see.
    """

    def __init__(
        self,
        calls: Calls,
        *,
        model_name: str,
        model_version: str | int,
        variant: str,
        raises: bool,
    ) -> None:
        if model_name:
            check_model_name(model_name, "model_name")
        if version := _text(model_version):
            check_model_version(version, "model_version")
        self._model = Model(model_name, version, variant)
        self._raises = raises

        def post(path: str) -> Callable[[bytes], object]:
            # the queue repeats what fails, with pauses that let a program end
            return lambda body: calls.call("capture", "POST", path, _accepted, body, tries=1)

        self._predictions: Sender[LoggedPrediction] = Sender(
            "predictions",
            lambda logged, lost: record_json(logged, lost, _now_ms()),
            post("/capture/batch"),
            _model_of,
            most=_QUEUE_SIZE,
            flush_seconds=_FLUSH_SECONDS,
        )
        self._labels: Sender[LoggedLabel] = Sender(
            "labels",
            lambda logged, _: label_json(logged, _now_ms()),
            post("/ground-truth"),
            most=_QUEUE_SIZE,
            flush_seconds=_FLUSH_SECONDS,
        )

    def log(
        self,
        features: Mapping[Any, object],
        prediction: object,
        *,
        id: object = None,
        at: object = None,
        probabilities: object = None,
        latency_ms: float = 0.0,
        model_version: str | int = "",
        variant: str = "",
    ) -> str:
        """Log a prediction; return its event id, by which a label finds it.

        Parameters
        ----------
        features
            Values by name, as the model received them: numbers, strings, booleans, None; also of
            numpy, pandas, Arrow, Decimal, dates. They are copied.
        prediction
            One number, string or boolean, alone or in a list or array of one.
        id
            Your own id: a UUID, or any text or number, from which one is made. None, NaN and an
            empty text are no id.
        at
            When it was made: a datetime with a zone, or seconds since 1970; by default now.
        probabilities
            Of the classes, from 0 to 1 with the sum 1; one alone is that of the second of two.
        latency_ms
            Time that the model took, in milliseconds.
        model_version, variant
            In the place of those of the client.

        Raises
        ------
        InvalidInputError
            With ``raises=True``, when the capture API would refuse it.
        ModelwatchError
            With ``raises=True``, when the queue is full.
        """
        model = self._predicted_by(model_version, variant)
        try:
            at_ms = _now_ms() if at is None else milliseconds_of(at)
            logged = LoggedPrediction(
                model,
                (id is not None and event_id_of(id, model.name)) or new_event_id(at_ms),
                at_ms,
                _copied(features),
                _settled(prediction),
                _settled(probabilities),
                latency_ms,
            )
            if self._raises:
                record_json(logged, 0, _now_ms())
        except Exception as error:
            self._predictions.refuse(model, error)
            if self._raises:
                raise
            return ""
        self._put(self._predictions, logged)
        return logged.event_id

    def log_batch(
        self,
        table: Any,
        predictions: Any,
        *,
        ids: Any = None,
        at: Any = None,
        probabilities: Any = None,
        features: Sequence[str] = (),
        model_version: str | int = "",
        variant: str = "",
        wait: bool = False,
    ) -> list[str]:
        """Log the predictions of a table; return their event ids.

        Parameters
        ----------
        table
            A DataFrame of pandas or polars, an Arrow table, or a mapping of lists or arrays.
        predictions, ids
            Lists or arrays, one value a row; or the name of a column, which is no feature then.
        at
            The same, or one time for all rows. Columns of times without a zone are in UTC.
        probabilities
            The names of their columns, or a row of them for each row of the table.
        features
            The columns that are features; by default all that have no other meaning.
        wait
            Wait for room in the queue: for a program that logs more than 50,000 rows at once.
            Otherwise what has no room is dropped, as by `log`.

        Raises
        ------
        InvalidInputError
            With ``raises=True``, when it is no such table, or a row is refused.
        ModelwatchError
            With ``raises=True``, when the queue is full.
        """
        model = self._predicted_by(model_version, variant)
        try:
            rows = rows_of(model, table, predictions, ids, at, probabilities, features)
            if self._raises:
                for row in rows:
                    if isinstance(row, InvalidInputError):
                        raise row
                    record_json(row, 0, _now_ms())
        except Exception as error:
            self._predictions.refuse(model, error, _length(table))
            if self._raises:
                raise
            return []
        good = []
        for row in rows:
            if isinstance(row, InvalidInputError):
                self._predictions.refuse(model, row)
            else:
                good.append(row)
        if self._raises and not wait:
            for each in good:
                self._put(self._predictions, each)
        else:
            self._predictions.put_all(good, wait=wait)
        return ["" if isinstance(row, InvalidInputError) else row.event_id for row in rows]

    def log_table(
        self,
        source: str | PathLike[str],
        *,
        prediction: str = "",
        timestamp: str = "",
        label: str = "",
        id: str = "",
        probabilities: Sequence[str] = (),
        features: Sequence[str] = (),
        ignore: Sequence[str] = (),
        timestamp_unit: str = "",
        time_zone: str = "",
        model_version: str | int = "",
        variant: str = "",
        skip_invalid: bool = False,
        settings: Any = None,
    ) -> TableCounts:
        """Store a table of predictions, and its labels, as `modelwatch captures import` does.

        It checks every row before it stores the first one, and writes to the bucket itself: it
        needs the extra ``modelwatch[cli]`` and the rights to list, read and write there, and no
        capture API. The same table again stores nothing again. Errors are raised, whatever
        ``raises`` says.

        Parameters
        ----------
        source
            A file, a folder, or ``s3://bucket/prefix``: CSV, Parquet or JSON lines, also packed.
        prediction, timestamp, label, id
            Names of these columns; by default those of the same names, where there are any.
        probabilities
            Columns of the probabilities, in the order of the model's classes.
        features, ignore
            Columns of the features, by default all that nothing else names, and those that are left
            out.
        timestamp_unit
            Of times that are numbers: ``s``, ``ms``, ``us`` or ``ns``.
        time_zone
            Of times without a zone, such as ``Europe/Berlin``; by default UTC.
        model_version, variant
            In the place of those of the client.
        skip_invalid
            Leave out rows that cannot be used; by default nothing is stored then.
        settings
            Where the bucket is; None: what the environment variables say, such as CAPTURE_BUCKET.

        Raises
        ------
        InvalidInputError
            When a column is missing or the source is no table.
        ModelwatchError
            When rows cannot be used, or differ from what is stored under their ids.
        StoreError
            When S3 cannot be read or written.
        """
        whole = optional_part("modelwatch_cli", "capture.tables.whole")
        if whole is None:
            raise ModelwatchError("log_table needs the command: pip install 'modelwatch[cli]'")
        model = self._predicted_by(model_version, variant)
        counts: TableCounts = whole.log_table(
            str(source),
            settings,
            skip_invalid=skip_invalid,
            model_name=model.name,
            version=model.version,
            variant=model.variant,
            prediction=prediction,
            timestamp=timestamp,
            timestamp_unit=timestamp_unit,
            time_zone=time_zone,
            label=label,
            id=id,
            probabilities=tuple(probabilities),
            features=tuple(features),
            ignore=tuple(ignore),
        )
        return counts

    def label(self, id: object, value: object, *, predicted_at: object = None) -> None:
        """Log what a prediction should have been.

        Parameters
        ----------
        id
            What `log` returned, or the id that it was given.
        value
            The class or the number that is true.
        predicted_at
            When it was predicted, to the hour. Ids that `log` made say it themselves; for others
            it is needed.

        Raises
        ------
        InvalidInputError
            With ``raises=True``, when the capture API would refuse it.
        ModelwatchError
            With ``raises=True``, when the queue is full.
        """
        try:
            event_id = event_id_of(id, self._model.name)
            if not event_id:
                raise InvalidInputError("id", "is missing; give what log returned, or your own")
            logged = LoggedLabel(event_id, _settled(value), predicted_at, _now_ms())
            if self._raises:
                label_json(logged, _now_ms())
        except Exception as error:
            self._labels.refuse(None, error)
            if self._raises:
                raise
            return
        self._put(self._labels, logged)

    def refuse(self, error: Exception) -> None:
        """Count a prediction that cannot be logged, with the reason."""
        self._predictions.refuse(self._model, error)

    def log_counts(self) -> LogCounts:
        """Return how many predictions and labels were sent, wait, were lost or refused."""
        return LogCounts(self._predictions.counts(), self._labels.counts())

    def flush(self, seconds: float = EXIT_SECONDS) -> bool:
        """Send what is logged; return whether nothing waits after so many ``seconds`` at most."""
        until = time.monotonic() + seconds
        done = self._predictions.flush(seconds)
        return self._labels.flush(max(0.0, until - time.monotonic())) and done

    async def aflush(self, seconds: float = EXIT_SECONDS) -> bool:
        """Do `flush` without holding up the event loop."""
        return await asyncio.to_thread(self.flush, seconds)

    def _close_log(self) -> None:
        until = time.monotonic() + EXIT_SECONDS
        self._predictions.close(EXIT_SECONDS)
        self._labels.close(max(0.0, until - time.monotonic()))

    def _predicted_by(self, version: str | int, variant: str) -> Model:
        if version == "" and not variant:
            return self._model
        return Model(
            self._model.name, _text(version) or self._model.version, variant or self._model.variant
        )

    def _put[T](self, sender: Sender[T], element: T) -> None:
        if not sender.put(element) and self._raises:
            raise ModelwatchError("the queue of the client is full, or the client is closed")


def _text(version: str | int | None) -> str:
    return "" if version is None else str(version)


def _copied(features: Any) -> dict[Any, object]:
    try:
        found = values_by_name(features)
        return dict(features) if found is None else found
    except (TypeError, ValueError):
        name = type(features).__name__
        raise InvalidInputError("features", f"is a {name}; expected values by name") from None


def _settled(value: object) -> object:
    """Return a list or an array as it is now: the caller may fill it again."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, list) else value


def _length(table: Any) -> int:
    """Return how many rows a table has; 1 where it does not say."""
    try:
        if isinstance(table, Mapping):
            return max(map(len, table.values()))
        return len(table)
    except (TypeError, ValueError):
        return 1


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _model_of(logged: LoggedPrediction) -> Hashable:
    return logged.model
