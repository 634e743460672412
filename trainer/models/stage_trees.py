"""Boosted trees as plain operators: grown by scikit-learn, run inside an exported graph."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor, nn


class StageTrees(nn.Module):
    """Gradient-boosted trees that vote for a class, walked level by level.

    Input (n, n_features); output (n, n_labels) log-probabilities, equal to those of the model in
    scikit-learn that it was grown by. A value equal to a threshold goes left. All nodes lie in
    tables of fixed size, a leaf's children being itself, so that walking is ``max_depth`` gathers
    and comparisons whatever the trees look like. A module that has not grown yet says that all
    classes are alike.

    Args:
        n_labels: classes.
        rounds: boosting rounds, one tree a class each.
        leaves: most leaves of a tree.
        max_depth: most comparisons from root to leaf.

    Source: histogram gradient boosting as LightGBM, Ke 2017 (NeurIPS 30); walking trees as tensor
    operators as Hummingbird, Nakandala 2020 (OSDI 20).
    """

    def __init__(self, n_labels: int, *, rounds: int, leaves: int, max_depth: int) -> None:
        super().__init__()
        self.n_labels, self.rounds, self.leaves, self.max_depth = (
            n_labels,
            rounds,
            leaves,
            max_depth,
        )
        trees, nodes = rounds * n_labels, 2 * leaves - 1
        first = torch.arange(trees)[:, None] * nodes  # node numbers count through all trees
        stay = (first + torch.arange(nodes)).flatten()
        self.register_buffer("roots", first.flatten())
        self.register_buffer("feature", torch.zeros(trees * nodes, dtype=torch.int64))
        self.register_buffer("threshold", torch.zeros(trees * nodes))
        self.register_buffer("left", stay.clone())
        self.register_buffer("right", stay.clone())
        self.register_buffer("value", torch.zeros(trees * nodes))
        self.register_buffer("baseline", torch.zeros(n_labels))

    def grow(
        self,
        values: npt.NDArray[np.float32],
        targets: npt.NDArray[np.int64],
        *,
        learning_rate: float,
        min_leaf: int,
        l2: float,
        feature_share: float,
        seed: int,
    ) -> None:
        """Learn from examples.

        Args:
            values: (n, n_features), finite.
            targets: (n,) classes, each of them at least once.
            learning_rate: shrinkage of each round.
            min_leaf: fewest examples in a leaf.
            l2: pull of leaf values towards zero.
            feature_share: of the features, drawn anew at each split.
            seed: of all draws.
        """
        model = HistGradientBoostingClassifier(
            max_iter=self.rounds,
            learning_rate=learning_rate,
            max_leaf_nodes=self.leaves,
            max_depth=self.max_depth,
            min_samples_leaf=min_leaf,
            l2_regularization=l2,
            max_features=feature_share,
            early_stopping=False,
            random_state=seed,
        ).fit(values, targets)
        # scikit-learn has no public way to its trees; a test holds the outputs against its own.
        grown = [tree.nodes for one_round in model._predictors for tree in one_round]
        self.get_buffer("baseline").copy_(torch.from_numpy(model._baseline_prediction.ravel()))
        for start, nodes in zip(self.get_buffer("roots").tolist(), grown, strict=True):
            rows = slice(start, start + len(nodes))
            inner = nodes["is_leaf"] == 0
            own = np.arange(start, start + len(nodes))
            for name, column in (
                ("feature", np.where(inner, nodes["feature_idx"], 0)),
                ("threshold", np.where(inner, nodes["num_threshold"], 0.0)),
                ("left", np.where(inner, start + nodes["left"].astype(np.int64), own)),
                ("right", np.where(inner, start + nodes["right"].astype(np.int64), own)),
                ("value", np.where(inner, 0.0, nodes["value"])),
            ):
                self.get_buffer(name)[rows] = torch.from_numpy(column)

    def forward(self, values: Tensor) -> Tensor:
        """Return log-probabilities."""
        node = self.get_buffer("roots").expand(values.shape[0], -1)
        for _ in range(self.max_depth):
            seen = values.gather(1, self.get_buffer("feature")[node])
            goes_left = seen <= self.get_buffer("threshold")[node]
            node = torch.where(
                goes_left, self.get_buffer("left")[node], self.get_buffer("right")[node]
            )
        votes = self.get_buffer("value")[node].reshape(-1, self.rounds, self.n_labels).sum(dim=1)
        return torch.log_softmax(votes + self.get_buffer("baseline"), dim=-1)
