"""Models of every kind that people have, to see what becomes of each."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from sklearn.base import is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators

TRAIN, TEST = 80, 30
DRAW = np.random.default_rng(11)

NUMBERS = pd.DataFrame(DRAW.random((TRAIN + TEST, 3)).round(2), columns=["age", "income", "years"])
SIGNAL = NUMBERS["age"] + NUMBERS["income"] + 0.2 * DRAW.random(TRAIN + TEST)

MIXED = NUMBERS.assign(
    sex=DRAW.choice(["female", "male"], TRAIN + TEST),
    port=DRAW.choice(["Southampton", "Cherbourg", "Queenstown"], TRAIN + TEST),
    member=DRAW.random(TRAIN + TEST) < 0.5,
    visits=DRAW.integers(0, 9, TRAIN + TEST),
)
HOLES = MIXED.assign(
    age=MIXED["age"].mask(DRAW.random(TRAIN + TEST) < 0.2),
    port=MIXED["port"].mask(DRAW.random(TRAIN + TEST) < 0.2),
)

TWO = (SIGNAL.median() < SIGNAL).astype(int)
THREE = pd.Series(np.digitize(SIGNAL, np.quantile(SIGNAL, [0.33, 0.66])))

CLASSES: Mapping[str, pd.Series] = {
    "two classes": TWO,
    "three classes": THREE,
    "bool": TWO.astype(bool),
    "text": THREE.map({0: "low", 1: "middle", 2: "high"}),
}
TARGETS: Mapping[str, pd.Series] = {
    "numbers": SIGNAL + 0.1,
    "large whole numbers": (123_456_000 + 789 * SIGNAL).round().astype("int64"),
}
MISSING = "missing values"
"""Two classes, or numbers, from rows that lack some."""


@dataclass(frozen=True)
class Case:
    """A model, and what it learns from: rows, target by title."""

    name: str
    make: Callable[[], Any]
    targets: Mapping[str, pd.Series]
    rows: pd.DataFrame = field(default_factory=lambda: NUMBERS)
    fit: Callable[[Any, pd.DataFrame, pd.Series], Any] = lambda model, rows, y: model.fit(rows, y)

    def titles(self) -> list[str]:
        """Return the titles of all targets, that with missing values last."""
        return [*self.targets, MISSING] if self.rows is NUMBERS else list(self.targets)

    def fitted(self, title: str) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
        """Return the model, and the rows that it was trained and is tested on.

        Raises
        ------
        ValueError
            When the library does not fit it to such a target.
        """
        rows, y = self.rows, self.targets.get(title)
        if title == MISSING:
            y = next(iter(self.targets.values()))
            rows = rows.mask(np.random.default_rng(3).random(rows.shape) < 0.1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = self.fit(self.make(), rows[:TRAIN], y[:TRAIN])
        return model, rows[:TRAIN], rows[TRAIN:].reset_index(drop=True)


def _default(kind: type) -> Any:
    """Return an estimator with its default settings, and with others inside where it asks."""
    regression = is_regressor(kind) if not inspect.isclass(kind) else "Regress" in kind.__name__
    inner = DecisionTreeRegressor if regression else DecisionTreeClassifier
    linear = LinearRegression if regression else LogisticRegression
    several = [("tree", inner(random_state=0)), ("linear", linear())]
    given: dict[str, Any] = {
        "estimators": several,
        "estimator": linear(),
        "base_estimator": linear(),
        "param_grid": {"fit_intercept": [True]},
        "param_distributions": {"fit_intercept": [True]},
        "n_iter": 1,
    }
    parameters = inspect.signature(kind).parameters
    wanted = {
        name: given[name]
        for name, parameter in parameters.items()
        if name in given and parameter.default is inspect.Parameter.empty
    }
    if "random_state" in parameters:
        wanted["random_state"] = 0
    if "n_jobs" in parameters:
        wanted["n_jobs"] = 1
    return kind(**wanted)


def scikit_learn() -> Iterator[Case]:
    """Yield every classifier and regressor of scikit-learn with its default settings."""
    for kind, targets in (("classifier", CLASSES), ("regressor", TARGETS)):
        for name, each in all_estimators(kind):
            yield Case(name, lambda each=each: _default(each), targets)


class Share(mlflow.pyfunc.PythonModel):
    """A user's own model, in the form that MLflow asks for."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - names of mlflow
        return (model_input["age"] / (model_input["age"] + model_input["income"] + 1)).to_numpy()


def _encoded(model: Any, unknown: str = "error") -> Any:
    texts = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown=unknown)
    )
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [
            ("texts", texts, ["sex", "port"]),
            ("numbers", numbers, ["age", "income", "years", "visits"]),
        ]
    )
    return make_pipeline(columns, model)


def _ordinal(model: Any) -> Any:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", encoder, ["sex", "port"])], remainder="passthrough")
    return make_pipeline(columns, model)


def pipelines() -> Iterator[Case]:
    """Yield pipelines as people make them of real tables."""
    some = {title: CLASSES[title] for title in ("bool", "text")}
    for title, rows in (("mixed columns", MIXED), ("mixed columns with missing values", HOLES)):
        for name, make, targets in (
            ("OneHotEncoder, LogisticRegression", lambda: _encoded(LogisticRegression()), some),
            (
                "OneHotEncoder (ignores unknown), RandomForestClassifier",
                lambda: _encoded(RandomForestClassifier(10, random_state=0), "ignore"),
                some,
            ),
            (
                "OneHotEncoder, GradientBoostingClassifier",
                lambda: _encoded(GradientBoostingClassifier(n_estimators=10)),
                some,
            ),
            (
                "OrdinalEncoder, HistGradientBoostingClassifier",
                lambda: _ordinal(HistGradientBoostingClassifier(max_iter=10)),
                some,
            ),
            (
                "OneHotEncoder, RandomForestRegressor",
                lambda: _encoded(RandomForestRegressor(10, random_state=0)),
                TARGETS,
            ),
        ):
            yield Case(f"{name}: {title}", make, targets, rows)
    yield Case(
        "StandardScaler, LogisticRegression",
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        CLASSES,
    )
    yield Case("mlflow.pyfunc.PythonModel", Share, TARGETS, MIXED, lambda model, *_: model)


def boosters() -> Iterator[Case]:
    """Yield LightGBM's, XGBoost's and CatBoost's models, of those that are installed."""
    with contextlib.suppress(ImportError):
        import lightgbm

        quiet = {"n_estimators": 10, "verbose": -1, "n_jobs": 1}
        yield Case("LGBMClassifier", lambda: lightgbm.LGBMClassifier(**quiet), CLASSES)
        yield Case("LGBMRegressor", lambda: lightgbm.LGBMRegressor(**quiet), TARGETS)
        for objective, targets in (("binary", CLASSES), ("regression", TARGETS)):
            yield Case(
                f"lightgbm.Booster ({objective})",
                lambda objective=objective: {"objective": objective, "verbose": -1},
                {next(iter(targets)): next(iter(targets.values()))},
                fit=lambda options, rows, y: lightgbm.train(options, lightgbm.Dataset(rows, y), 10),
            )
        yield Case(
            "OneHotEncoder, LGBMClassifier: mixed columns",
            lambda: _encoded(lightgbm.LGBMClassifier(**quiet), "ignore"),
            CLASSES,
            MIXED,
        )
    with contextlib.suppress(ImportError):
        import xgboost

        few = {"n_estimators": 10, "n_jobs": 1}
        numbered = {title: CLASSES[title] for title in ("two classes", "three classes", "bool")}
        yield Case("XGBClassifier", lambda: xgboost.XGBClassifier(**few), numbered)
        yield Case("XGBRegressor", lambda: xgboost.XGBRegressor(**few), TARGETS)
        for objective, targets in (("binary:logistic", CLASSES), ("reg:squarederror", TARGETS)):
            yield Case(
                f"xgboost.Booster ({objective})",
                lambda objective=objective: {"objective": objective, "nthread": 1},
                {next(iter(targets)): next(iter(targets.values()))},
                fit=lambda options, rows, y: xgboost.train(options, xgboost.DMatrix(rows, y), 10),
            )
    with contextlib.suppress(ImportError):
        import catboost

        still = {
            "iterations": 10,
            "verbose": False,
            "thread_count": 1,
            "allow_writing_files": False,
        }
        yield Case("CatBoostClassifier", lambda: catboost.CatBoostClassifier(**still), CLASSES)
        yield Case("CatBoostRegressor", lambda: catboost.CatBoostRegressor(**still), TARGETS)
        yield Case(
            "CatBoostClassifier: mixed columns",
            lambda: catboost.CatBoostClassifier(**still, cat_features=["sex", "port"]),
            CLASSES,
            MIXED,
        )


def everything() -> list[Case]:
    """Return all cases."""
    return [*scikit_learn(), *pipelines(), *boosters()]
