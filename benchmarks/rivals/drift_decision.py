"""Decide about drift of Parquet rows with a rival; print CPU seconds and the peak of memory in MB.

    python drift_decision.py whylogs|nannyml REFERENCE WINDOW

Runs in the environment `rivals`. whylogs profiles both sides and compares them by their profiles
(Kolmogorov-Smirnov); NannyML fits the reference and measures the window as one chunk (Wasserstein).
"""

import sys
import time
import warnings
from pathlib import Path

import pandas as pd

warnings.simplefilter("ignore")


def peak_mb() -> float:
    """Return the peak of this program's memory; getrusage says that of its parent, if larger."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def decide_whylogs(reference: pd.DataFrame, window: pd.DataFrame) -> float:
    """Return the seconds of profiling the window and comparing."""
    import whylogs
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    known = whylogs.log(reference).view()
    began = time.process_time()
    calculate_drift_scores(whylogs.log(window).view(), known, with_thresholds=True)
    return time.process_time() - began


def decide_nannyml(reference: pd.DataFrame, window: pd.DataFrame) -> float:
    """Return the seconds of measuring the window."""
    from nannyml import UnivariateDriftCalculator

    calculator = UnivariateDriftCalculator(
        column_names=list(reference), continuous_methods=["wasserstein"], chunk_size=len(window)
    )
    calculator.fit(reference)
    began = time.process_time()
    calculator.calculate(window)
    return time.process_time() - began


rival, *paths = sys.argv[1:]
seconds = {"whylogs": decide_whylogs, "nannyml": decide_nannyml}[rival](
    *(pd.read_parquet(path) for path in paths)
)
print(seconds, peak_mb())
