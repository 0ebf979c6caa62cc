"""How long a verdict takes, and in how much memory, over windows of ten thousand to 100 M rows.

    make bench-analysis

Windows are made of the profiles that capture writes: real rows of 13 features through the capture
code, hour by hour, and merged; larger windows repeat hours of 1 M rows. Each verdict runs in a
process of its own, from reading the profiles of its hours to the status of all features. Beside
it, on the same rows and likewise each in a process of its own: Evidently's drift preset, whylogs
and NannyML, up to a million rows. Seconds are those of the CPU. Prints a table, and JSON as the
last line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from modelwatch.adapters.captures.arrow_profiles import profile_slices, profile_table
from modelwatch.adapters.captures.parquet import compress
from modelwatch.domain.profiles import Slice, encode_slices, merge_profiles

FEATURES = 13
HOUR_ROWS = 1_000_000
SIZES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
ROOT = Path(__file__).parents[2]
RIVALS = ROOT / ".envs" / "rivals" / "bin" / "python"
LARGEST = {"evidently": 1_000_000, "whylogs": 1_000_000, "nannyml": 1_000_000}


def _rows(count: int, seed: int) -> pa.Table:
    generator = np.random.default_rng(seed)
    columns = {
        f"feature_{number}": generator.normal(number, 1 + number, count)
        for number in range(FEATURES)
    }
    columns["captured_at"] = pa.array(
        np.sort(generator.integers(0, 3_600_000, count)), pa.timestamp("ms", tz="UTC")
    )
    columns["variant"] = pa.array(["production"] * count)
    return pa.table(columns)


def _hour(count: int, seed: int) -> bytes:
    """Return what compaction keeps of an hour: its profile, merged from those of its minutes."""
    minutes = profile_slices(_rows(count, seed))
    merged = merge_profiles([each.profile for each in minutes])
    return compress(encode_slices([Slice("production", 0, merged)]))


def _measured(command: list[str | Path]) -> tuple[float, float]:
    """Run a program that prints seconds and its peak of memory in MB."""
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    seconds, peak_mb = printed.split()[-2:]
    return float(seconds), float(peak_mb)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="rows of the last window")
    arguments = parser.parse_args()
    sizes = [size for size in SIZES if size <= arguments.largest]
    programs = Path(__file__).parent
    found: dict[str, dict[int, tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = _rows(10_000, seed=1)
        (folder / "reference.profile").write_bytes(
            compress(encode_slices([Slice("", 0, profile_table(reference))]))
        )
        features = [column for column in reference.column_names if column.startswith("feature_")]
        pq.write_table(reference.select(features), folder / "reference.parquet")
        for size in sizes:
            (folder / f"{size}.profile").write_bytes(_hour(min(size, HOUR_ROWS), seed=2))
            hours = max(1, size // HOUR_ROWS)
            found.setdefault("modelwatch", {})[size] = _measured(
                [
                    sys.executable,
                    programs / "verdict.py",
                    folder / "reference.profile",
                    *[folder / f"{size}.profile"] * hours,
                ]
            )
            for rival, largest in LARGEST.items():
                if size > largest:
                    continue
                window = folder / f"{size}.parquet"
                if not window.exists():
                    pq.write_table(_rows(size, seed=2).select(features), window)
                program: list[str | Path] = (
                    [sys.executable, programs / "evidently_drift.py"]
                    if rival == "evidently"
                    else [RIVALS, ROOT / "benchmarks" / "rivals" / "drift_decision.py", rival]
                )
                found.setdefault(rival, {})[size] = _measured(
                    [*program, folder / "reference.parquet", window]
                )
    table = Table("rows", *found, title="a verdict over 13 features: CPU seconds, peak MB")
    results: dict[str, float] = {}
    for size in sizes:
        cells = []
        for name, by_size in found.items():
            if size not in by_size:
                cells.append("")
                continue
            seconds, peak_mb = by_size[size]
            cells.append(f"{seconds:.3f} s, {peak_mb:.0f} MB")
            results |= {f"{name}_seconds_{size}": seconds, f"{name}_mb_{size}": peak_mb}
        table.add_row(f"{size:,}", *cells)
    Console().print(table)
    ours = found["modelwatch"]
    if HOUR_ROWS in ours:
        results["faster_than_evidently_1m"] = found["evidently"][HOUR_ROWS][0] / ours[HOUR_ROWS][0]
    if SIZES[-1] in ours:
        results["ratio_100m_to_1m"] = ours[SIZES[-1]][0] / ours[HOUR_ROWS][0]
    print(json.dumps({name: round(value, 4) for name, value in results.items()}))


if __name__ == "__main__":
    main()
