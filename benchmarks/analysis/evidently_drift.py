"""Compare with Evidently: python evidently_drift.py REFERENCE WINDOW; CPU seconds, peak MB."""

import sys
import time
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def peak_mb() -> float:
    """Return the peak of this program's memory; getrusage gives that of its parent, if larger."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


reference, window = (pd.read_parquet(path) for path in sys.argv[1:])
definition = DataDefinition(numerical_columns=list(reference))
began = time.process_time()
Report([DataDriftPreset()]).run(
    Dataset.from_pandas(window, definition), Dataset.from_pandas(reference, definition)
).dict()
seconds = time.process_time() - began
print(seconds, peak_mb())
