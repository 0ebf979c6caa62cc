"""Responses of the analyze API, decoded.

The client reads them only where it is asked for results: what they are made of takes as long to
import as all that a program needs to log its predictions.
"""

from __future__ import annotations

import msgspec

from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.services.model_states import Models
from modelwatch.services.reading import ResultPage


class Analysis(msgspec.Struct, frozen=True):
    """What an analysis found: results, and by model version why it has none."""

    results: list[AnalysisResult]
    failures: dict[str, str] = {}


class _Name(msgspec.Struct):
    """What is only in the response to an analysis that still runs."""

    name: str = ""


# prepared here: two threads that read a type for the first time at once end the process
_analysis = msgspec.json.Decoder(Analysis).decode
_name = msgspec.json.Decoder(_Name).decode
models = msgspec.json.Decoder(Models).decode
page = msgspec.json.Decoder(ResultPage).decode


def analysis_or_name(content: bytes) -> Analysis | str:
    """Return an analysis, or its name where it still runs."""
    return _name(content).name or _analysis(content)
