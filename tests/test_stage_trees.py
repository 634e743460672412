"""Boosted trees inside a graph say what scikit-learn's own say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: E402

from edge_app.inference.onnx_runtime import load_onnxruntime  # noqa: E402
from trainer.experiment import Graph  # noqa: E402
from trainer.models.stage_trees import StageTrees  # noqa: E402
from trainer.onnx_graph import export_graph  # noqa: E402

SETTINGS = {"learning_rate": 0.2, "min_leaf": 5, "l2": 1.0, "feature_share": 0.7, "seed": 3}


def examples(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(n, 6)).astype(np.float32)
    values[:, 2] = np.round(values[:, 2])  # ties with thresholds
    return values, np.digitize(values[:, 0] + values[:, 2] * values[:, 3], [-1.0, 0.0, 1.0])


def grown(max_depth: int = 5) -> StageTrees:
    trees = StageTrees(4, rounds=12, leaves=9, max_depth=max_depth)
    trees.grow(*examples(800, 1), **SETTINGS)
    return trees


@pytest.mark.parametrize("max_depth", [1, 3, 8])
def test_they_answer_as_scikit_learn_does(max_depth: int) -> None:
    values, targets = examples(800, 1)
    own = HistGradientBoostingClassifier(
        max_iter=12,
        learning_rate=0.2,
        max_leaf_nodes=9,
        max_depth=max_depth,
        min_samples_leaf=5,
        l2_regularization=1.0,
        max_features=0.7,
        early_stopping=False,
        random_state=3,
    ).fit(values, targets)
    unseen, _ = examples(500, 2)
    said = grown(max_depth)(torch.from_numpy(unseen)).exp().numpy()
    np.testing.assert_allclose(said, own.predict_proba(unseen), atol=1e-6)


def test_they_learn_what_no_line_can_say() -> None:
    values, targets = examples(500, 5)
    said = grown()(torch.from_numpy(values)).argmax(dim=1).numpy()
    assert (said == targets).mean() > 0.75  # the commonest class alone: below 0.4
    assert np.bincount(targets).max() / len(targets) < 0.4


def test_before_growing_all_classes_are_alike() -> None:
    said = StageTrees(4, rounds=3, leaves=5, max_depth=2)(torch.zeros(2, 6))
    np.testing.assert_allclose(said.exp().numpy(), 0.25, atol=1e-6)


def test_weights_carry_the_trees() -> None:
    trees, other = grown(), StageTrees(4, rounds=12, leaves=9, max_depth=5)
    other.load_state_dict(trees.state_dict())
    values = torch.from_numpy(examples(50, 7)[0])
    assert torch.equal(trees(values), other(values))


def test_the_exported_graph_says_the_same(tmp_path: Path) -> None:
    trees, (values, _) = grown().eval(), examples(40, 9)
    export_graph(Graph("model", trees, {"values": values}, ("log_probabilities",)), tmp_path)
    session = load_onnxruntime().InferenceSession(str(tmp_path / "model.onnx"))
    for row in values:
        (said,) = session.run(None, {"values": row[None]})
        expected = trees(torch.from_numpy(row[None])).numpy()
        np.testing.assert_allclose(said, expected, atol=1e-5)
