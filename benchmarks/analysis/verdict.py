"""Evaluate features from profiles; print CPU seconds and peak MB.

python verdict.py REFERENCE.profile HOUR.profile...
"""

import sys
import time
from pathlib import Path

from modelwatch.adapters.captures.parquet import decompress
from modelwatch.domain.profiles import Profile, decode_slices, merge_profiles
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.features import evaluate_columns
from modelwatch.domain.verdict.rules import DriftPolicy


def peak_mb() -> float:
    """Return the peak of this program's memory; getrusage gives that of its parent, if larger."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def read(path: str) -> Profile:
    """Read one profile."""
    return decode_slices(decompress(Path(path).read_bytes()))[0].profile


def distributions(profile: Profile) -> dict[str, Distribution]:
    """Return what is compared."""
    return {name: Distribution.of_column(column) for name, column in profile.features.items()}


reference = distributions(read(sys.argv[1]))
began = time.process_time()
window = merge_profiles([read(path) for path in sys.argv[2:]])
verdicts = evaluate_columns(reference, distributions(window), DriftPolicy(), level=0.001)
seconds = time.process_time() - began
assert {each.status for each in verdicts} == {"ok"}
print(seconds, peak_mb())
