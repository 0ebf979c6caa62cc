"""Write every page."""

from pathlib import Path

from generator.pages import PAGES

for name, make in PAGES.items():
    file = Path(__file__).parents[1] / "reference" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(make(), "utf-8")
