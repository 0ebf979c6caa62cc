"""What the wheel holds, and that its metadata agrees with the locks."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from installed import build_wheel
from modelwatch_cli.deployment.building.environments import base_environment
from modelwatch_cli.deployment.cloudformation.plan import APPS, LAYERS
from modelwatch_cli.project import Project

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STACKS = [path.stem for path in (ROOT / "templates" / "cloudformation").glob("*.yaml")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build_wheel(folder)) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_every_source_that_the_command_reads(wheel, tmp_path):
    project = Project(wheel / "modelwatch_cli" / "packaged", tmp_path)
    environments = [
        base_environment(project, name) for name in ("localstack", "runtime", "analysis", "pyfunc")
    ]
    needed = [
        *(environment.lock for environment in environments),
        *(project.requirements(name) for name in LAYERS if name != "core"),
        *(project.function(app) / name for app in APPS for name in ("app.py", "chalicelib")),
        *(project.function(app) / ".chalice" / "config.json" for app in APPS),
        *(project.merge_template(app) for app in APPS),
        *(project.template(name) for name in STACKS),
        project.dockerfile,
        project.plugin / "pyproject.toml",
        project.plugin / "README.md",
        project.prometheus / "prometheus.yml",
    ]
    assert [path for path in needed if not path.exists()] == []
    assert list((project.prometheus / "rules").glob("*.yml"))
    assert list(project.dashboards.glob("*.json"))
    sources = {
        path.relative_to(ROOT / "localstack" / "lambda-process").as_posix()
        for path in (ROOT / "localstack" / "lambda-process" / "src").rglob("*.py")
    }
    assert {name for name in sources if not (project.plugin / name).exists()} == set()


def test_the_wheel_holds_nothing_else(wheel):
    assert {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")} == {
        "modelwatch", "modelwatch_bridge", "modelwatch_cli", "modelwatch_training",
    }  # fmt: skip
    assert (wheel / "modelwatch" / "py.typed").exists()
    names = [path.relative_to(wheel).as_posix() for path in wheel.rglob("*")]
    wrong = re.compile(r"(^|/)(tests?|benchmarks|docs|__pycache__|build|\.envs|deployed)(/|$)")
    assert [name for name in names if wrong.search(name)] == []


ALONE = """
import sys
import importlib.abc
sys.path[:0] = sys.argv[1:2]
allowed = set(sys.argv[2].split(","))
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in allowed or top in sys.stdlib_module_names or top in sys.builtin_module_names:
            return None
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import modelwatch
"""


def alone(wheel: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where only the wheel and its core's dependencies can be imported."""
    needed, left = set(), ["modelwatch"]
    while left:
        name = left.pop()
        declared = PROJECT["dependencies"] if name == "modelwatch" else (
            importlib.metadata.requires(name) or []
        )  # fmt: skip
        for each in map(Requirement, declared):
            if each.name not in needed and (
                each.marker is None or each.marker.evaluate({"extra": ""})
            ):
                needed.add(each.name)
                left.append(each.name)
    tops = [
        top
        for top, found in importlib.metadata.packages_distributions().items()
        if {canonicalize_name(name) for name in found} & {canonicalize_name(n) for n in needed}
    ]
    allowed = ",".join(
        ["modelwatch", "modelwatch_cli", "modelwatch_bridge", "modelwatch_training", *tops]
    )
    command = [sys.executable, "-P", "-c", ALONE + code, str(wheel), allowed]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_bare_wheel_is_imported_with_the_core_alone(wheel):
    done = alone(wheel, "print(modelwatch.__version__, modelwatch.__file__)")
    assert done.stdout.split() == [
        importlib.metadata.version("modelwatch"), str(wheel / "modelwatch" / "__init__.py"),
    ], done.stderr  # fmt: skip


@pytest.mark.parametrize(("program", "extra"), [("main", "local"), ("bridge", "bridge")])
def test_a_command_without_its_extra_says_which(wheel, program, extra):
    done = alone(wheel, f"from modelwatch_cli import __main__ as m; m.{program}()")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert f"is not installed: pip install 'modelwatch[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def requirements() -> dict[str, Requirement]:
    """Return what every extra needs, by name; one name has one range."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found: dict[str, Requirement] = {}
    for each in (Requirement(text) for texts in lists for text in texts):
        assert found.setdefault(canonicalize_name(each.name), each).specifier == each.specifier
    found.pop("modelwatch")
    return found


def test_every_lock_is_within_the_ranges_of_the_metadata():
    locks = [ROOT / name for name in ("requirements.txt", "templates/bridge/requirements.txt")]
    locks += ROOT.glob("layers/*/requirements.txt")
    for lock in locks:
        pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE))
        wrong = {
            name: (str(each.specifier), pins[name])
            for name, each in requirements().items()
            if name in pins and not each.specifier.contains(pins[name])
        }
        assert wrong == {}, lock
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert requirements().keys() <= set(pins)
