"""From a library's own model to ONNX: which converter, and with which inputs."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from modelwatch.domain.schemas import Schema

Conversion = Callable[[], Any]
"""Makes an ONNX graph (`onnx.ModelProto`)."""


def conversions(model: Any, schema: Schema) -> Iterator[tuple[str, Conversion]]:
    """Yield ways to convert ``model``, each with its name; the likely exact ones come first.

    Trees of scikit-learn compare numbers of 32 bits; other models calculate in 64 bits.

    Parameters
    ----------
    model
        A fitted model: scikit-learn's, LightGBM's, XGBoost's, CatBoost's, or a pipeline of them.
    schema
        Its input columns: if one is a text, the form has an input for each column.
    """
    library = type(model).__module__.partition(".")[0]
    numbers = all(column.type != "string" for column in schema.columns)
    width = len(schema.columns)
    if library == "catboost":
        if numbers:
            yield "CatBoost", partial(_catboost, model)
    elif library in ("lightgbm", "xgboost") and not hasattr(model, "get_params"):
        if numbers and _has_onnxmltools():
            yield f"onnxmltools ({library})", partial(_booster, model, library, width)
    else:
        for bits in (32, 64) if hasattr(_last(model), "tree_") else (64, 32):
            yield f"skl2onnx, {bits} bits", partial(_sklearn, model, schema, bits, numbers)


def _last(model: Any) -> Any:
    """Return a tree of a forest, or the model itself."""
    trees = getattr(model, "estimators_", None)
    return model if trees is None or not len(trees) else np.ravel(np.asarray(trees, object))[0]


def _sklearn(model: Any, schema: Schema, bits: int, is_matrix: bool) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    _register()
    number = DoubleTensorType if bits == 64 else FloatTensorType
    if is_matrix:
        inputs = [("features", number([None, len(schema.columns)]))]
    else:
        inputs = [
            (column.name, (StringTensorType if column.type == "string" else number)([None, 1]))
            for column in schema.columns
        ]
    convert = partial(to_onnx, model, initial_types=inputs)
    try:
        # classifiers with probabilities would give them as mappings
        options = {id(model): {"zipmap": False}} if is_classifier(model) else None
        graph = convert(options=options)
    except NameError:  # a classifier without that option
        graph = convert()
    _route_missing_values(graph, model)
    return graph


@cache
def _register() -> None:
    """Register onnxmltools' converters with skl2onnx, for models and for steps of pipelines."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import tree_ensemble
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from skl2onnx.operator_converters.random_forest import (
        convert_sklearn_random_forest_classifier,
        convert_sklearn_random_forest_regressor_converter,
    )

    tree_ensemble.sklearn_threshold = partial(_threshold, tree_ensemble.sklearn_threshold)
    options: dict[str, Any] = {
        "nocl": [True, False], "zipmap": [True, False, "columns"]
    }  # fmt: skip
    update_registered_converter(
        HistGradientBoostingClassifier, "SklearnHistGradientBoostingClassifier",
        calculate_linear_classifier_output_shapes,
        partial(_with_integers, convert_sklearn_random_forest_classifier),
        options={**options, "raw_scores": [True, False], "output_class_labels": [False, True]},
    )  # fmt: skip
    update_registered_converter(
        HistGradientBoostingRegressor, "SklearnHistGradientBoostingRegressor",
        calculate_linear_regressor_output_shapes,
        partial(_with_integers, convert_sklearn_random_forest_regressor_converter),
        options={"raw_scores": [True, False]},
    )  # fmt: skip
    if not _has_onnxmltools():
        return
    if importlib.util.find_spec("lightgbm"):
        from lightgbm import LGBMClassifier, LGBMRegressor
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        update_registered_converter(
            LGBMClassifier, "LightGbmLGBMClassifier", calculate_linear_classifier_output_shapes,
            convert_lightgbm, options=options,
        )  # fmt: skip
        update_registered_converter(
            LGBMRegressor, "LightGbmLGBMRegressor", calculate_linear_regressor_output_shapes,
            convert_lightgbm, options={"split": None},
        )  # fmt: skip
    if importlib.util.find_spec("xgboost"):
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
        from xgboost import XGBClassifier, XGBRegressor

        update_registered_converter(
            XGBClassifier, "XGBoostXGBClassifier", calculate_linear_classifier_output_shapes,
            convert_xgboost, options=options,
        )  # fmt: skip
        update_registered_converter(
            XGBRegressor, "XGBoostXGBRegressor", calculate_linear_regressor_output_shapes,
            convert_xgboost,
        )  # fmt: skip


def _threshold(search: Any, threshold: float, *arguments: Any) -> Any:
    """Keep the infinite threshold of a split between missing values and all others.

    The converter's search for its neighbour in 32 bits never ends there.
    """
    is_finite = np.isfinite(np.float32(threshold))
    return search(threshold, *arguments) if is_finite else np.float64(threshold)


def _with_integers(convert: Any, scope: Any, operator: Any, container: Any) -> None:
    """Convert trees whose attributes mix booleans with integers, which protobuf refuses."""

    class Container:
        def __getattr__(self, name: str) -> Any:
            return getattr(container, name)

        def add_node(self, *arguments: Any, **attributes: Any) -> None:
            plain = {
                name: [int(each) if isinstance(each, bool | np.bool_) else each for each in value]
                if isinstance(value, list)
                else value
                for name, value in attributes.items()
            }
            container.add_node(*arguments, **plain)

    convert(scope, operator, Container())


def _booster(model: Any, library: str, width: int) -> Any:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    convert = getattr(onnxmltools, f"convert_{library}")
    options = {"zipmap": False} if library == "lightgbm" else {}
    inputs = [("features", FloatTensorType([None, width]))]
    return convert(model, initial_types=inputs, **options)


def _catboost(model: Any) -> Any:
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.save_model(str(path), format="onnx")
        graph = onnx.load(str(path))
    # its probabilities come as mappings by class; the tensor that they are made of is in the graph
    for node in [each for each in graph.graph.node if each.op_type == "ZipMap"]:
        (output,) = [each for each in graph.graph.output if each.name == node.output[0]]
        graph.graph.output.remove(output)
        graph.graph.output.append(
            onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None)
        )
        graph.graph.node.remove(node)
    return graph


def _has_onnxmltools() -> bool:
    return importlib.util.find_spec("onnxmltools") is not None


def _route_missing_values(graph: Any, model: Any) -> None:
    """Let missing values take the same branches as in scikit-learn's forests.

    The converter leaves ``nodes_missing_value_tracks_true`` at 0 everywhere; scikit-learn keeps
    for every node of a tree whether a missing value goes left, in the same order of nodes. A forest
    is one node of the graph, bagged trees are one each.
    """
    model = model.steps[-1][1] if hasattr(model, "steps") else model
    found = getattr(model, "estimators_", None)
    trees = [model] if found is None else list(np.ravel(np.asarray(found, object)))
    if not trees or not all(hasattr(tree, "tree_") for tree in trees):
        return
    go_left = np.concatenate([t.tree_.__getstate__()["nodes"]["missing_go_to_left"] for t in trees])
    tracks = [
        attribute.ints
        for node in graph.graph.node
        for attribute in node.attribute
        if attribute.name == "nodes_missing_value_tracks_true"
    ]
    if sum(map(len, tracks)) != len(go_left):
        return
    start = 0
    for track in tracks:
        size = len(track)
        track[:] = [int(left) for left in go_left[start : start + size]]
        start += size
