"""Decide with Evidently: python evidently_decision.py REFERENCE WINDOW; CPU seconds, peak MB."""

import resource
import sys
import time

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

reference, window = (pd.read_parquet(path) for path in sys.argv[1:])
definition = DataDefinition(numerical_columns=list(reference))
began = time.process_time()
Report([DataDriftPreset()]).run(
    Dataset.from_pandas(window, definition), Dataset.from_pandas(reference, definition)
).dict()
seconds = time.process_time() - began
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
