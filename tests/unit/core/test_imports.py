"""The rule of the house: imports point inward, and what a cold start pays for stays small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CORE = ROOT / "layers" / "core" / "modelwatch"
BRIDGE = ROOT / "bridge" / "modelwatch_bridge"
TRAINING = ROOT / "training" / "modelwatch_training"
HEAVY = {"pandas", "sklearn", "evidently", "mlflow", "pyarrow", "onnxruntime", "boto3", "scipy"}

ALLOWED = {
    "domain": {"modelwatch.domain", "modelwatch.errors"},
    "ports": {"modelwatch.domain", "modelwatch.ports"},
    "services": {
        "modelwatch.services", "modelwatch.domain", "modelwatch.errors", "modelwatch.ports",
        "modelwatch.metric_names",
    },
    "adapters": {
        "modelwatch.adapters", "modelwatch.domain", "modelwatch.errors", "modelwatch.ports",
        "modelwatch.metric_names", "modelwatch.settings",
    },
}  # fmt: skip
"""What each room of the core may import of the project."""


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, without those for type checkers only."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_training_imports_no_command():
    for path in TRAINING.glob("*.py"):
        assert not any(each.startswith("modelwatch_cli") for each in imports(path)), path


def sources(place: str) -> list[Path]:
    path = CORE / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("place", ALLOWED)
def test_imports_point_inward(place):
    for path in sources(place):
        for module in imports(path):
            assert not module.startswith(("modelwatch_cli", "modelwatch_bridge")), path
            if module.startswith("modelwatch."):
                assert any(module.startswith(allowed) for allowed in ALLOWED[place]), (path, module)


ROOMS = {
    BRIDGE: {
        "lines": (),
        "counting": ("lines",),
        "sources": ("lines", "counting"),
        "history": ("lines", "counting"),
        "serving": ("lines", "counting", "history"),
    },
    CORE / "adapters": {
        "access": (),
        "aws": (),
        "captures": ("aws",),
        "results": ("aws", "captures"),
        "models": ("aws", "captures"),
        "registries": ("aws", "models"),
        "erasure": ("aws", "captures", "results"),
    },
}
"""Which rooms of a house each of its rooms may import."""


@pytest.mark.parametrize("house", ROOMS, ids=lambda house: house.name)
def test_the_rooms_of_a_house_import_one_way(house):
    rooms = ROOMS[house]
    assert {path.parent.name for path in house.glob("*/__init__.py")} == set(rooms)
    prefix = "modelwatch_bridge" if house is BRIDGE else "modelwatch.adapters"
    for path in house.glob("*/*.py"):
        room = path.parent.name
        for module in imports(path):
            if module.startswith(f"{prefix}."):
                other = module.removeprefix(f"{prefix}.").split(".")[0]
                assert other in (room, *rooms[room]), (path, module)


def test_types_to_read_are_prepared_at_import():
    """Two threads that read a type for the first time at once end the process (msgspec 0.22)."""
    plain = {"bool", "int", "float", "str", "list", "dict", "frozenset", "datetime", "None"}
    for path in [*CORE.rglob("*.py"), *BRIDGE.rglob("*.py")]:
        functions = [
            each for each in ast.walk(ast.parse(path.read_text()))
            if isinstance(each, ast.FunctionDef)
        ]  # fmt: skip
        for call in (each for function in functions for each in ast.walk(function)):
            if not isinstance(call, ast.Call):
                continue
            kinds = [each.value for each in call.keywords if each.arg == "type"]
            if not ast.unparse(call.func).startswith("msgspec.") or not kinds:
                continue
            names = {each.id for each in ast.walk(kinds[0]) if isinstance(each, ast.Name)}
            assert names <= plain, f"{path}:{call.lineno}: make a decoder at the module's top"


@pytest.mark.parametrize("place", ["domain", "ports", "services"])
def test_the_inner_rooms_import_no_heavy_library(place):
    for path in sources(place):
        assert not {module.split(".")[0] for module in imports(path)} & HEAVY, path


def test_apps_import_no_adapter():
    for path in (ROOT / "functions").glob("*/app.py"):
        assert not any(module.startswith("modelwatch.adapters") for module in imports(path)), path


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("modelwatch.services.predict", HEAVY),
        ("modelwatch.services.capture", HEAVY),
        ("modelwatch.services.performance", HEAVY),
        ("modelwatch.http", HEAVY),
        ("modelwatch.adapters.models.loader", HEAVY - {"boto3"}),
        # a program that logs its predictions waits for it
        ("modelwatch.client", HEAVY | {"numpy"}),
        # each command waits for all of it
        ("modelwatch_cli.main", HEAVY | {"numpy", "http"}),
    ],
)
def test_importing_a_service_pulls_in_no_heavy_library(module, forbidden):
    code = f"import sys, {module}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & forbidden == set()


@pytest.mark.parametrize(
    ("app", "forbidden"),
    [
        ("predict", HEAVY - {"boto3"}),
        ("capture", HEAVY - {"boto3", "pyarrow"}),
        # Evidently is for reports alone
        ("analyze", HEAVY - {"boto3", "pyarrow"}),
    ],
)
def test_building_an_app_pulls_in_only_what_it_always_needs(app, forbidden):
    code = "import sys, chalicelib.wiring; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT / "functions" / app,
    )
    assert set(done.stdout.split()) & forbidden == set()
