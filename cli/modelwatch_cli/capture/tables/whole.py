"""An import of a table from its source to the bucket: what the command and the SDK both do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.domain.capture_policy import PREDICTION, PROBABILITIES
from modelwatch.domain.model_capture import CaptureRules, MonitorCapture
from modelwatch.domain.schemas import LETTERS
from modelwatch.errors import InvalidInputError, ModelwatchError, NoModelError
from modelwatch.sdk.tables import TableCounts
from modelwatch_cli.capture.cells import types_of
from modelwatch_cli.capture.rules import import_rules, require_applied, rule_in_words
from modelwatch_cli.capture.storing import Stored
from modelwatch_cli.capture.tables.columns import Meaning, meaning_of
from modelwatch_cli.capture.tables.importing import Checked, Rejected, TableImport
from modelwatch_cli.capture.tables.mapping import TableMapping
from modelwatch_cli.capture.tables.reading import Table, open_table
from modelwatch_cli.capture.tables.sources import fetch
from modelwatch_cli.console import count_of
from modelwatch_cli.monitors.held import held_segments
from modelwatch_cli.settings import Settings

KIND_NAMES = {"d": "number", "l": "whole number", "s": "text", "b": "boolean"}

_NAMED = 5
"""Rows that an error of `log_table` names."""

Step = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Begins a step, with its size where it is known, and gives what counts how far it is."""


@contextmanager
def _silent(_what: str, _total: int | None) -> Iterator[Callable[[int], None]]:
    yield lambda _done: None


@dataclass(frozen=True, slots=True)
class GivenTable:
    """A table that is to be imported, and what is said of it.

    ``types``: of the features that ``mapping`` names, a letter each as in `Record.types`.
    ``monitor``: the monitor's file, and what it says of capture.
    ``skip_invalid``: rows that cannot be used are left out. ``dry_run``: nothing is stored.
    """

    source: str
    model_name: str
    variant: str
    mapping: TableMapping
    types: str = ""
    monitor: tuple[str, MonitorCapture] | None = None
    dry_run: bool = False
    skip_invalid: bool = False


@dataclass(frozen=True, slots=True)
class ImportedTable:
    """What an import found and did.

    ``refused``: rows cannot be used, so nothing was stored. ``changed``: places of rows that differ
    from what is stored under their ids. ``types_from``: where types come from, in words.
    """

    source: str
    mapping: TableMapping
    meaning: Meaning
    table: Table
    checked: Checked
    records: Stored
    labels: Stored
    imported: bool
    refused: bool
    changed: list[str]
    types_from: str
    rules: CaptureRules

    def columns(self) -> list[tuple[str, str, str, str]]:
        """Return of each column its name, what it is, its type, and what is to be known of it."""
        words, checked = self.meaning.words(), self.checked
        lacking = self.table.lacking(list(words))
        rows = []
        for name in self.table.columns:
            letter = checked.letters.get("" if name == self.meaning.prediction else name, "")
            notes = ["some values are of another type"] * (name in checked.mixed)
            if name in lacking:
                notes.append(f"{len(lacking[name])} of {len(self.table.files)} files lack it")
            if name not in words:
                notes.append("not imported")
            elif rule := self._rule(name):
                notes.append(rule)
            kind = KIND_NAMES.get(letter, "")
            rows.append((name, words.get(name, "ignored"), kind, "; ".join(notes)))
        return rows

    def _rule(self, column: str) -> str:
        """Return in words what the monitor lets be captured of a column; empty: all of it."""
        policy = self.rules.policy
        if column in self.meaning.features:
            return rule_in_words(policy.of_feature(column))
        if column == self.meaning.prediction:
            return rule_in_words(policy.of_output(PREDICTION))
        is_kept = policy.of_output(PROBABILITIES) == "keep"
        return "" if is_kept or column not in self.meaning.probabilities else "not captured"

    def summary(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        checked = self.checked
        return {
            "source": self.source,
            "files": len(self.table.files),
            "imported": self.imported,
            "rows": checked.rows,
            "rejected": checked.rejected,
            "repeated": checked.repeated,
            "first": checked.first,
            "last": checked.last,
            "times_without_zone": checked.without_zone,
            "columns": {name: what for name, what, _, _ in self.columns()},
            "types": {name: letter for name, letter in checked.letters.items() if name},
            "prediction_type": checked.letters.get("", ""),
            "mixed_columns": checked.mixed,
            "incomplete_columns": self.table.lacking(self.meaning.columns),
            "records": asdict(self.records),
            "labels": asdict(self.labels),
        }


def import_rows(
    settings: Settings, given: GivenTable, note: Callable[[Rejected], None], step: Step = _silent
) -> ImportedTable:
    """Check a table and store its records and labels, unless rows cannot be used.

    Parameters
    ----------
    note
        Called with each row that cannot be used.

    Raises
    ------
    InvalidInputError
        When an option is missing or wrong.
    MonitorError
        When what the monitor says of capture cannot be followed, or is not applied yet.
    StoreError
        When S3 cannot be read or written.
    """
    for option, value, example in (
        ("--model", given.model_name, "churn"),
        ("--version", given.mapping.version, "3"),
    ):
        if not value:
            raise InvalidInputError(option, f"is missing; give it, as in {option} {example}")
    by_hand = types_of("--features", given.mapping.features, given.types)
    zone = given.mapping.zone
    client, bucket = s3_client(settings), settings.capture_bucket
    with TemporaryDirectory(prefix="modelwatch-import-") as folder:
        with step("reading the source", None) as advance:
            files = fetch(given.source, settings, Path(folder), advance)
        total = sum(file.path.stat().st_size for file in files)
        with step("checking rows", total) as advance:
            table = open_table(files, advance)
            mapping = _named(given.mapping.by_names(table.columns), table.columns)
            meaning = meaning_of(table.columns, mapping)
            if given.monitor is not None:
                require_applied(settings, client, given.model_name, *given.monitor)
            rules = import_rules(settings, client)(given.model_name)
            types, origin = _schema_types(settings, given)
            work = TableImport(
                table,
                meaning,
                model_name=given.model_name,
                model_version=mapping.version,
                variant=given.variant,
                types={**types, **by_hand},
                now_ms=time.time_ns() // 1_000_000,
                rules=rules,
                unit=mapping.timestamp_unit,
                zone=zone,
            )
            with closing(work):
                checked = work.check(note)
                records, labels = Stored(), Stored()
                refused = bool(checked.rejected) and not given.skip_invalid
                imported = not refused and not given.dry_run
                changed: list[str] = []
                if checked.rows and imported:
                    with step("storing rows", checked.rows) as stored:
                        segments_of = held_segments(settings, client)
                        records, labels = work.store(
                            S3RecordStore(client, bucket, segments_of),
                            S3LabelStore(client, bucket),
                            stored,
                            changed.append,
                        )
    return ImportedTable(
        given.source, mapping, meaning, table, checked, records, labels, imported, refused,
        changed, origin, rules,
    )  # fmt: skip


def log_table(
    source: str, settings: Settings | None, *, skip_invalid: bool, **said: Any
) -> TableCounts:
    """Do what `Client.log_table` says; ``said``: parts of `TableMapping`, model and variant.

    Raises as `Client.log_table` does.
    """
    name, variant = said.pop("model_name"), said.pop("variant")
    rejected: list[Rejected] = []

    def note(row: Rejected) -> None:
        if len(rejected) < _NAMED:
            rejected.append(row)

    given = GivenTable(source, name, variant, TableMapping(**said), skip_invalid=skip_invalid)
    try:
        found = import_rows(settings or Settings(), given, note)
    except InvalidInputError as error:
        raise InvalidInputError(_plain(error.field), _plain(error.problem)) from None
    checked = found.checked
    if found.refused:
        rows = "; ".join(f"{row.place}: {row.reason}" for row in rejected)
        raise ModelwatchError(
            f"{count_of(checked.rejected, 'row')} of {source} cannot be used, so nothing was "
            f"logged: {rows}; "
            "correct them, or leave them out with skip_invalid=True"
        )
    if not checked.rows and not checked.rejected:
        raise ModelwatchError(f"{source} has no rows")
    if found.changed:
        raise ModelwatchError(
            f"{count_of(len(found.changed), 'row')} of {source} with other content than what is "
            f"stored under the id, such as {found.changed[0]}; what is stored stays, and the other "
            "rows are logged"
        )
    return TableCounts(
        rows=checked.rows,
        rejected=checked.rejected,
        repeated=checked.repeated,
        stored=found.records.stored,
        known=found.records.known,
        labels=found.labels.stored,
        left_out=found.records.left_out,
    )


def _plain(text: str) -> str:
    """Return an error's words with the names of parameters in place of the command's options."""
    return re.sub(r"--([a-z][a-z-]*)", lambda option: option[1].replace("-", "_"), text)


def _named(mapping: TableMapping, columns: Sequence[str]) -> TableMapping:
    """Return ``mapping``; refuse one that does not say what a table must have."""
    for option, value, example in (
        ("--prediction", mapping.prediction, "predicted"),
        ("--timestamp", mapping.timestamp, "scored_at"),
    ):
        if not value:
            raise InvalidInputError(
                option,
                f"is missing, and no column is named {option[2:]}; give it, as in {option} "
                f"{example}, or in the monitor's file; the columns are {', '.join(columns)}",
            )
    return mapping


def _schema_types(settings: Settings, given: GivenTable) -> tuple[Mapping[str, str], str]:
    """Return the types of the registered model's columns, and the source of types."""
    registry = registry_of(settings)
    try:
        version = registry.version(given.model_name, given.mapping.version)
        manifest = artifacts_of(settings).manifest(version)
    except NoModelError:
        return {}, (
            "from the values: the registry does not know this version, which is right for a model "
            "served elsewhere; to give the types: --features and --feature-types"
        )
    except ModelwatchError as error:
        return {}, f"from the values: the schema of this version cannot be read ({error})"
    if manifest is None:
        return {}, "from the values: the registry has no schema of this version"
    columns = manifest.schema.columns
    return {column.name: LETTERS[column.type] for column in columns}, "from the model's schema"
