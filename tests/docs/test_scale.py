"""The page on scale says what its simulation says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_simulation():
    simulation = runpy.run_path(str(ROOT / "benchmarks" / "scale" / "__main__.py"))
    page = (ROOT / "docs" / "explanation" / "scale.md").read_text()
    missing = [line for line in simulation["tables"]() if line and line not in page]
    assert not missing, "`make bench-scale` prints the tables: " + "\n".join(missing)
