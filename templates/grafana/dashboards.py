"""The Grafana dashboards, as code: writes `dashboards/*.json` and `cloudwatch/*.json`.

    python templates/grafana/dashboards.py

The files are committed, so Grafana needs nothing but them; a test checks that they are current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cloudwatch import for_cloudwatch
from comparison_board import comparison
from drift_board import data_drift
from finish import finished
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from pipeline_board import pipeline
from serving_board import ml_monitoring

FOLDER = Path(__file__).parent

BOARDS = {
    "ml_monitoring": ml_monitoring,
    "data_drift": data_drift,
    "pipeline": pipeline,
    "model_comparison": comparison,
}


def rendered() -> dict[str, str]:
    """Return the text of each file by its path."""
    made = {name: _built(make()) for name, make in BOARDS.items()}
    return {
        **{f"dashboards/{name}.json": _text(board) for name, board in made.items()},
        **{f"cloudwatch/{name}.json": _text(for_cloudwatch(board)) for name, board in made.items()},
    }


def _built(board: Any) -> dict[str, Any]:
    return finished(json.loads(JSONEncoder().encode(board.build())))


def _text(board: dict[str, Any]) -> str:
    return json.dumps(board, sort_keys=True, indent=2) + "\n"


def main() -> None:
    """Write the files."""
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
