"""What becomes of every model of the zoo, as the table in docs/reference/models.md.

`make zoo-table` tries them all and writes it; `tests/zoo/test_zoo.py` holds the code to it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support")]
sys.path += [str(ROOT / ".envs" / "zoo")]  # XGBoost and CatBoost: `make zoo`

from modelwatch.errors import ModelwatchError  # noqa: E402
from modelwatch_training.candidate import Candidate, make_candidate  # noqa: E402
from modelwatch_training.given_rows import table_of  # noqa: E402
from modelwatch_training.onnx_export import is_same  # noqa: E402
from modelwatch_training.registration import quiet  # noqa: E402
from zoo import CLASSES, MISSING, TARGETS, Case, everything  # noqa: E402

DOCUMENT = ROOT / "docs" / "reference" / "models.md"
_BEGIN, _END = "<!-- make zoo-table: begin -->", "<!-- make zoo-table: end -->"

TITLES = [*CLASSES, *TARGETS, MISSING]


class Outcome(NamedTuple):
    """What became of a model: a word for the table, and why."""

    word: str
    reason: str = ""


def outcome_of(case: Case, title: str) -> Outcome:
    """Fit a case, make a candidate of it, and hold what would be served against the model.

    Raises
    ------
    AssertionError
        When what would be served gives other predictions than the model itself.
    """
    try:
        model, train, test = case.fitted(title)
    except Exception as error:  # noqa: BLE001 - the library's own limits
        return Outcome("—", f"the library does not fit it: {type(error).__name__}")
    quiet()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = make_candidate(
                model, table_of(train, "train"), table_of(test, "test"), Path(folder)
            )
        except ModelwatchError as error:
            return Outcome("refused", str(error))
        _check_served(found, model, test)
    if found.onnx:
        return Outcome("ONNX")
    return Outcome(f"pyfunc {_mark(found.problem)}", found.problem)


def _mark(problem: str) -> str:
    if "agrees on" in problem:
        return "(differs)"
    return "(no converter)"


def _check_served(candidate: Candidate, model: object, rows: pd.DataFrame) -> None:
    if not hasattr(model, "get_params"):
        return  # a booster takes tables of its own: candidates are held to what MLflow saved
    plain = rows.astype(object).where(rows.notna(), None).to_dict("records")
    served = candidate.served.predict(plain)
    expected = np.asarray(model.predict(rows)).reshape(len(rows)).tolist()
    size = max((abs(each) for each in expected if isinstance(each, float)), default=0.0)
    for one, other in zip(expected, served.values, strict=True):
        assert is_same(one, other, size), f"{other!r} is served instead of {one!r}"
    if hasattr(model, "predict_proba"):
        assert served.probabilities is not None
        gap = np.abs(np.asarray(served.probabilities) - model.predict_proba(rows))
        assert np.nanmax(gap) < 1e-5
    else:
        assert served.probabilities is None


def rows_of_document() -> dict[str, dict[str, str]]:
    """Return the table of docs/reference/models.md: by model the word by title."""
    text = DOCUMENT.read_text()
    section = text[text.index(_BEGIN) : text.index(_END)]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    header, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0].strip("`"): dict(zip(header[1:], row[1:], strict=True)) for row in rows[1:]}


@cache
def _cases() -> dict[str, Case]:
    return {case.name: case for case in everything()}


def _tried(name: str, title: str) -> Outcome:
    try:
        return outcome_of(_cases()[name], title)
    except Exception as error:  # noqa: BLE001 - the table says so, and its test fails
        return Outcome("error", f"{type(error).__name__}: {error}")


def write(limit_seconds: float | None = None) -> None:
    """Try all cases, and put what became of them into docs/reference/models.md.

    What is not done within the limit is a question mark in the table.
    """
    cases = _cases().values()
    tasks = [(case.name, title) for case in cases for title in case.titles()]
    found: dict[tuple[str, str], Outcome] = {}
    workers = int(os.environ.get("WORKERS", os.cpu_count() or 1))
    # forked processes hang in libraries that have threads
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    futures = {pool.submit(_tried, *task): task for task in tasks}
    with contextlib.suppress(TimeoutError):
        for future in as_completed(futures, limit_seconds):
            task, outcome = futures[future], future.result()
            found[task] = outcome
            sys.stdout.write(f"{len(found)}/{len(tasks)} {' | '.join([*task, *outcome])}\n")
            sys.stdout.flush()
    pool.shutdown(wait=False, cancel_futures=True)
    lines = [f"| model | {' | '.join(TITLES)} |", "| --- |" + " --- |" * len(TITLES)]
    reasons: dict[str, set[str]] = {}
    for (name, _), outcome in found.items():
        if outcome.word in ("refused", "error"):
            reasons.setdefault(outcome.reason, set()).add(name)
    for case in cases:
        words = {title: found.get((case.name, title), Outcome("?")).word for title in case.titles()}
        lines.append(f"| `{case.name}` | {' | '.join(words.get(each, ' ') for each in TITLES)} |")
    lines += ["", "Refused, with these sentences:", ""]
    for reason, names in sorted(reasons.items()):
        sentence = " ".join(reason.split())[:240]
        lines.append(f"- {', '.join(f'`{name}`' for name in sorted(names))}: {sentence}")
    text = DOCUMENT.read_text()
    before, rest = text[: text.index(_BEGIN)], text[text.index(_END) :]
    DOCUMENT.write_text(f"{before}{_BEGIN}\n" + "\n".join(lines) + f"\n{rest}")


if __name__ == "__main__":
    write(float(os.environ["LIMIT_SECONDS"]) if "LIMIT_SECONDS" in os.environ else None)
