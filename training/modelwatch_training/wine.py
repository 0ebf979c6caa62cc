"""The example: a random forest on scikit-learn's wine data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.model_selection import train_test_split

SEED = 42
TEST_ROWS = 36
PARAMETERS: dict[str, Any] = {"n_estimators": 100, "max_depth": 10, "random_state": SEED}


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A fitted forest, its training and test rows, and its scores on the test rows."""

    model: RandomForestClassifier
    train: pd.DataFrame
    test: pd.DataFrame
    test_labels: list[int]
    metrics: dict[str, float]


def train_wine_model() -> TrainedModel:
    """Train on 142 rows and test on 36, stratified, always with the same seed."""
    wine = load_wine(as_frame=True)
    train, test, train_target, test_target = train_test_split(
        wine.data, wine.target, test_size=TEST_ROWS, stratify=wine.target, random_state=SEED
    )
    model = RandomForestClassifier(**PARAMETERS).fit(train, train_target)
    predicted = model.predict(test)
    metrics = {
        "accuracy": float(accuracy_score(test_target, predicted)),
        "f1": float(f1_score(test_target, predicted, average="weighted")),
        "precision": float(precision_score(test_target, predicted, average="weighted")),
        "recall": float(recall_score(test_target, predicted, average="weighted")),
    }
    return TrainedModel(model, train, test, test_target.tolist(), metrics)
