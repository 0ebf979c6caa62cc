"""What an image has for the models that it serves."""

import pytest

from modelwatch.errors import SettingError
from modelwatch_cli.deployment.building.environments import (
    base_environment,
    environment_with,
    missing_from,
    model_requirements,
)
from modelwatch_cli.deployment.cloudformation.errors import BuildError
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings

LOGGED = {
    "wine version 3": b"mlflow==3.17.2\nscikit-learn==1.9.1\nlightgbm==4.6.0  # boosting\n",
    "wine version 4": b"\n# none\nmlflow[extras]==2.9\nlightgbm==4.6.0\nold; python_version<'3'\n",
}


def asked(setting: str = "", logged=LOGGED) -> list[str]:
    return model_requirements(Settings({"MODEL_REQUIREMENTS": setting}), logged)


def test_by_default_the_models_say_what_they_need():
    assert asked() == ["lightgbm==4.6.0", "scikit-learn==1.9.1"]


def test_the_setting_says_it_in_their_place(tmp_path):
    assert asked("none") == []
    assert asked("xgboost==3.0 polars>=1,<2") == ["xgboost==3.0", "polars>=1,<2"]
    file = tmp_path / "extra.txt"
    file.write_text("# ours\nxgboost==3.0\n")
    assert asked(str(file)) == ["xgboost==3.0"]


@pytest.mark.parametrize(
    ("setting", "logged", "said"),
    [
        ("nowhere.txt", {}, "nowhere.txt cannot be read"),
        ("light gbm==", {}, "'gbm==' of light gbm== is not a requirement that can be locked"),
        ("", {"wine version 3": b"--extra-index-url https://x\n"}, "of wine version 3 is not a"),
        ("", {"wine version 3": b"mine @ git+https://x/y\n"}, "is an address, which has no hash"),
    ],
)
def test_what_cannot_be_locked_is_refused_with_a_remedy(setting, logged, said):
    with pytest.raises(SettingError, match="MODEL_REQUIREMENTS") as caught:
        asked(setting, logged)
    assert said in str(caught.value)
    assert "'none' for what the image has" in str(caught.value)


def test_what_the_image_has_already_needs_no_other_environment():
    project = Project()
    lock = project.requirements("pyfunc").read_text()
    pin = next(line.split(" ")[0] for line in lock.splitlines() if line.startswith("scikit-learn"))
    assert missing_from(lock, [pin, "Scikit_Learn>=1", "numpy"]) == []
    assert missing_from(lock, ["lightgbm==4.6.0", pin]) == ["lightgbm==4.6.0"]
    assert environment_with(project, "pyfunc", [pin], "x86_64") == base_environment(
        project, "pyfunc"
    )


def test_an_environment_of_others_is_not_made_here(tmp_path):
    with pytest.raises(BuildError, match="run `make setup-pyfunc`"):
        base_environment(Project(tmp_path), "pyfunc").make()
