"""Reading monitors from files, and what is wrong with them: with file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from modelwatch.domain.baselines import TRAINING, check_name
from modelwatch.domain.monitors import LONGEST_LABELS, MOST_MONITORS, Monitor, labels_text
from modelwatch.domain.names import MOST_CHARACTERS, check_model_name
from modelwatch.domain.verdict.rules import FeatureRule
from modelwatch.errors import InvalidInputError, MonitorError
from modelwatch.settings.kinds import json_schema, meant
from modelwatch_cli.capture.tables.mapping import TableMapping, mapping_problems
from modelwatch_cli.monitors.capture import capture_faults, read_capture
from modelwatch_cli.monitors.constraints import constraint_problems
from modelwatch_cli.monitors.expected import expected_problems, read_expected
from modelwatch_cli.monitors.features import feature_problems
from modelwatch_cli.monitors.schema import (
    LABEL_PATTERN,
    LONGEST_TEXT,
    MOST_LABELS,
    RULES,
    TEXTS,
)
from modelwatch_cli.monitors.writing import lines_of

LARGEST_FILE_BYTES = 64_000

_QUOTE = "; texts and names with other characters than A-Z, a-z, 0-9, _ and - need quotation marks"


class FileFault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a file; ``line`` is 0 where it is about the whole file."""

    file: str
    line: int
    field: str
    problem: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return (
            f"{place}: {self.field}: {self.problem}" if self.field else f"{place}: {self.problem}"
        )


class MonitorFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Monitors by model, the file of each, and all that is wrong."""

    monitors: dict[str, Monitor]
    files: dict[str, str]
    faults: list[FileFault]

    def require_no_faults(self) -> None:
        """Raise MonitorError when anything is wrong: it has one line for each fault."""
        if self.faults:
            raise MonitorError("\n".join(map(str, self.faults)))


def read_monitors(paths: Sequence[Path], stage: str) -> MonitorFiles:
    """Read files, and all ``*.toml`` files of folders, as monitors of ``stage``.

    Raises MonitorError when there is no file at all, or one cannot be opened.
    """
    found = MonitorFiles(monitors={}, files={}, faults=[])
    for file in _files(paths):
        name, monitor, faults = read_monitor(file, stage)
        found.faults.extend(faults)
        if name in found.files:
            problem = f"{name} has another monitor in {found.files[name]}; a model has one"
            found.faults.append(FileFault(file=str(file), line=0, field="model", problem=problem))
        elif name and monitor is not None:
            found.files[name] = str(file)
            found.monitors[name] = monitor
    return found


def read_monitor(file: Path, stage: str) -> tuple[str, Monitor | None, list[FileFault]]:
    """Return the model's name, its monitor, and all that is wrong with the file."""
    try:
        payload = file.read_bytes()
        if len(payload) > LARGEST_FILE_BYTES:
            problem = f"has {len(payload):,} bytes; at most {LARGEST_FILE_BYTES:,} are allowed"
            return "", None, [_fault(file, 0, "", problem)]
        text = payload.decode()
        parsed = tomllib.loads(text)
    except OSError as error:
        raise MonitorError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        return "", None, [_fault(file, 0, "", "is not text in UTF-8")]
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
        line = int(place[1]) if place else 0
        hint = _QUOTE if str(error).startswith(("Expected", "Invalid")) else ""
        return "", None, [_fault(file, line, "", f"is not TOML: {error}{hint}")]
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        return "", None, [_fault(file, 0, "", "is not a monitor: it is too large to be read")]
    lines = lines_of(text)
    faults = [
        _fault(file, _line(lines, field), field, problem)
        for field, problem in _problems(parsed, file.stem)
    ]
    name = parsed.get("model", file.stem)
    if faults:
        faults.sort(key=lambda fault: fault.line)
        return (name if isinstance(name, str) else ""), None, faults
    monitor = Monitor(
        stage=stage,
        owner=parsed.get("owner", ""),
        baseline=parsed.get("baseline", ""),
        labels=dict(sorted(parsed.get("labels", {}).items())),
        settings={
            RULES[rule].name: _written(value) for rule, value in sorted(_table(parsed, "rules"))
        },
        features={
            feature: msgspec.convert(rule, FeatureRule)
            for feature, rule in sorted(_table(parsed, "features"))
        },
        capture=read_capture(dict(_table(parsed, "capture"))),
        planned=read_expected(parsed.get("expected", [])),
        constraints=dict(sorted(_table(parsed, "constraints"))),
    )
    return name, monitor, []


def table_of(file: Path) -> TableMapping:
    """Return the ``[table]`` of a file without faults: how the model's tables are imported."""
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")).get("table", {}), TableMapping)


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob("*.toml"))
            if not inside:
                raise MonitorError(
                    f"{path} has no *.toml file; `modelwatch monitors init` makes one"
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise MonitorError(f"there is no {path}; `modelwatch monitors init` makes a monitor")
    if len(found) > MOST_MONITORS:
        raise MonitorError(f"{len(found)} files are more than the {MOST_MONITORS} allowed")
    return list(dict.fromkeys(found))


def _problems(parsed: dict[str, Any], default_name: str) -> Iterator[tuple[str, str]]:
    known = [*TEXTS, "labels", "rules", "features", "constraints", "expected", "capture", "table"]
    for name, value in parsed.items():
        if name in RULES:
            yield name, "stands above the tables; write it below [rules]"
        elif name not in known:
            yield name, f"is no part of a monitor; there are {', '.join(known)}{meant(name, known)}"
        elif name in TEXTS:
            longest = MOST_CHARACTERS if name == "model" else LONGEST_TEXT
            yield from _text_problems(name, value, longest)
        elif name != "expected" and not isinstance(value, dict):
            yield name, f"is a table: write [{name}]"
    try:
        check_model_name(str(parsed.get("model", default_name)), "model")
        if parsed.get("baseline", TRAINING) != TRAINING:
            check_name(str(parsed["baseline"]))
    except InvalidInputError as error:
        yield ("baseline" if error.field == "name" else error.field), error.problem
    labels = _table(parsed, "labels")
    if len(labels) > MOST_LABELS:
        yield "labels", f"has {len(labels)} labels; at most {MOST_LABELS} are allowed"
    for name, value in labels:
        if not re.fullmatch(LABEL_PATTERN, name):
            expected = "up to 40 of a-z, 0-9 and _, beginning with a letter"
            yield f"labels.{name[:60]}", f"is no name of a label: {expected}"
        yield from _text_problems(f"labels.{name[:60]}", value)
        if "," in str(value):
            yield f"labels.{name[:60]}", "has a comma, which ends a label on alerts"
    if len(labels_text({name: str(value) for name, value in labels})) > LONGEST_LABELS:
        yield (
            "labels",
            f"have more than {LONGEST_LABELS} characters, which alerts carry as one text",
        )
    yield from mapping_problems(dict(_table(parsed, "table")))
    for name, value in _table(parsed, "rules"):
        yield from _rule_problems(name, value)
    yield from feature_problems(_table(parsed, "features"))
    yield from constraint_problems(_table(parsed, "constraints"))
    yield from expected_problems(parsed.get("expected", []))
    yield from capture_faults(dict(_table(parsed, "capture")))


def _text_problems(
    field: str, value: Any, longest: int = LONGEST_TEXT
) -> Iterator[tuple[str, str]]:
    if not isinstance(value, str):
        yield field, f'is a text: write {field.rpartition(".")[2]} = "..."'
    elif len(value) > longest or not value.isprintable():
        yield field, f"is one line of at most {longest} characters"


def _rule_problems(name: str, value: Any) -> Iterator[tuple[str, str]]:
    field = f"rules.{name[:60]}"
    setting = RULES.get(name)
    if setting is None:
        hint = meant(name, list(RULES))
        yield field, f"is no rule of a monitor{hint or f'; there are {", ".join(RULES)}'}"
        return
    is_number = json_schema(setting.kind)["type"] != "string"
    if isinstance(value, bool) or not isinstance(value, int | float if is_number else str):
        right = setting.default if is_number else f'"{setting.default}"'
        yield field, f"is a {'number' if is_number else 'text'}: write {name} = {right}, say"
        return
    try:
        if setting.default and not str(value).strip():
            raise ValueError("is empty; leave the rule out to have the deployment's")
        setting.kind(_written(value))
    except InvalidInputError as error:
        yield field, error.problem
    except ValueError as error:
        yield field, str(error)


def _table(parsed: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    found = parsed.get(name, {})
    return list(found.items()) if isinstance(found, dict) else []


def _line(lines: Mapping[str, int], field: str) -> int:
    """Return the line of a field, or of the nearest table around it; 0 where there is none."""
    while field and field not in lines:
        field = field.rpartition(".")[0]
    return lines.get(field, 0)


def _written(value: str | float) -> str:
    """Return a value as the environment would hold it."""
    return value if isinstance(value, str) else repr(value)


def _fault(file: Path, line: int, field: str, problem: str) -> FileFault:
    return FileFault(file=str(file), line=line, field=field, problem=problem)
