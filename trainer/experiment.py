"""What one experiment gives to the common loop: data, a model, augmentation, graphs to export.

``trainer/experiments/{emotion,sleep,frailty}.py`` each implement it; ``fit``, ``evaluate`` and
``export`` know nothing else about a task. A new modality is one more file there and one line in
``registry``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from torch import Tensor, nn

from edge_app.errors import TrainingError
from edge_app.inference.manifest import (
    Conditioning,
    Data,
    RollingSpec,
    StreamSpec,
    WindowSpec,
)
from trainer import metrics
from trainer.losses import cross_entropy
from trainer.metrics import Scores

if TYPE_CHECKING:
    from trainer.recipe import Recipe

Gather = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
"""Turn a batch of a split's inputs into what the model reads."""
RunGraph = Callable[[str, dict[str, npt.NDArray[Any]]], dict[str, npt.NDArray[Any]]]
"""Run one exported graph in ONNX Runtime: role and named inputs (leading 1) to named outputs."""


@dataclass(frozen=True, slots=True)
class Split:
    """One side of a split.

    Args:
        inputs: tensors with the same first axis, in the order of the model's ``forward``.
        targets: (n,) or (n, ...) int64, as the logits without their class axis, ``IGNORE`` where
            there is no label.
        groups: the person of each example (a file name where persons are unknown); no group may
            stand on both sides.
        name: what to call it in reports, such as ``PublicTest``.
        examples: name of each example where it has one, such as the night it is.
        gather: makes a batch of ``inputs`` into what the model reads, where that would not fit
            into memory at once (overlapping sequences: ``inputs`` are their rows); None: they are
            that already.
        attributes: what is known of each example besides, such as ``gender`` or ``country``: name
            to (n,) words, empty where it is not known of one; None: nothing is known of any.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    groups: npt.NDArray[np.str_]
    name: str
    examples: tuple[str, ...] = ()
    gather: Gather | None = None
    attributes: dict[str, npt.NDArray[np.str_]] | None = None

    def batch(self, rows: Tensor | slice) -> tuple[Tensor, ...]:
        """Return what the model reads of some rows."""
        inputs = tuple(tensor[rows] for tensor in self.inputs)
        return inputs if self.gather is None else self.gather(inputs)


@dataclass(frozen=True, slots=True)
class Graph:
    """One ONNX graph to export.

    Args:
        role: ``model``, ``encoder`` or ``sequence``, as in the manifest.
        module: its ``forward`` takes the inputs in order and returns the outputs in order.
        inputs: name and an (n_cases, ...) array of examples each; case i, with a leading 1, is
            what the runtime feeds. They become ``golden.npz``, so no person's data is among them.
        outputs: names of the outputs.
    """

    role: str
    module: nn.Module
    inputs: dict[str, npt.NDArray[np.generic]]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BundleParts:
    """What the manifest needs to know that the loop does not."""

    labels: tuple[str, ...]
    stream: StreamSpec
    window: WindowSpec
    conditioning: Conditioning
    rolling: RollingSpec
    data: tuple[Data, ...]
    intended_use: str
    limits: str


@dataclass(frozen=True, slots=True)
class DirectFit:
    """A model fitted in one go, without passes.

    Args:
        model: fitted on everybody.
        logits: (n, n_labels) of people that the folds behind them had not seen.
        targets: (n,) their classes.
        calibrated_on: what ``logits`` are, in words.
        figures: plain JSON values of the same folds, as ``evaluate`` would give them: what the
            bundle's ``metrics.json``, manifest and card carry.
    """

    model: nn.Module
    logits: Tensor
    targets: Tensor
    calibrated_on: str
    figures: dict[str, Any]


class ExperimentOptions(BaseModel):
    """The recipe's ``experiment`` section; each experiment adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Experiment(ABC):
    """One task's story from data to exported graphs.

    Built as ``SomeExperiment(options)`` where ``options`` is the recipe's ``experiment`` section,
    checked by the class's own ``Options``.
    """

    task: ClassVar[str]
    input_names: ClassVar[tuple[str, ...]] = ()
    """Names of the graph ``model``'s inputs, in the order of ``Split.inputs``; unused when
    ``score`` is overridden."""
    Options: ClassVar[type[ExperimentOptions]] = ExperimentOptions
    fits_directly: ClassVar[bool] = False
    """Whether ``trainer fit`` calls ``fit_directly`` instead of the loop of passes."""
    equal_shares: ClassVar[bool] = False
    """Whether probabilities are stated for equal class shares, and calibrated so."""
    headline: ClassVar[tuple[str, ...]] = metrics.HEADLINE
    """The figures that the manifest repeats."""
    headline_subsets: ClassVar[tuple[str, ...] | None] = None
    """The subsets that the manifest repeats; None: all."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Return the training and the validation split, no group on both sides.

        Args:
            data_dir: the data, as ``--data`` names it.

        Returns:
            Training and validation.

        Raises:
            DatasetError: data missing, damaged, or leaking between the sides.
        """

    @abstractmethod
    def load_evaluation(self, path: Path) -> Split:
        """Return the split that ``trainer evaluate BUNDLE --data PATH`` scores."""

    def load_all(self, path: Path) -> Split:
        """Return what is scored where the user says that nothing there was learnt from.

        Args:
            path: the data.

        Returns:
            What ``load_evaluation`` returns, for experiments that hold nothing back there.
        """
        return self.load_evaluation(path)

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Return a fresh model: ``forward(*inputs)`` gives logits, class axis last."""

    def pretrained(self) -> str | None:
        """Check and name the file that ``start`` will read, before data is read.

        Returns:
            Its name and sha256, for the record of the run; None: there is none.

        Raises:
            ConfigError: it cannot be used.
        """
        return None

    def start(self, model: nn.Module) -> None:
        """Give a fresh model what training starts from; random weights as it stands.

        Called once when a run begins, not on a resume.

        Args:
            model: from ``build_model``.
        """
        del model

    def story(self) -> str:
        """Return what else made the weights, for the model card; nothing as it stands.

        Called when a run begins, before data is read, and kept in the run: what an export says
        needs no other run to be there still.
        """
        return ""

    def begin_pass(self, index: int, passes: int) -> None:
        """Prepare for a pass of training, for what changes from pass to pass; nothing as it stands.

        Args:
            index: the pass, from 0.
            passes: of the whole run.
        """
        del index, passes

    @abstractmethod
    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return an augmented training batch; must be vectorised."""

    def loss(
        self, model: nn.Module, logits: Tensor, targets: Tensor, label_smoothing: float
    ) -> Tensor:
        """Return what a training step makes small; the mean cross-entropy as it stands.

        Args:
            model: being trained, for terms on its weights.
            logits: targets' shape plus a class axis.
            targets: a batch of them, ``IGNORE`` where there is no label.
            label_smoothing: the recipe's ``fit.label_smoothing``.

        Returns:
            A scalar.
        """
        del model
        return cross_entropy(logits, targets, label_smoothing)

    @abstractmethod
    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        """Return the graphs to export, in the manifest's order, with examples to try them on.

        The last graph's outputs are ``logits`` and ``probabilities``: softmax of logits divided by
        ``temperature``, see ``calibrate.Calibrated``. The examples are stored in the bundle: they
        are simulated or averaged, never one person's.
        """

    @abstractmethod
    def parts(self) -> BundleParts:
        """Return what goes into the manifest."""

    def settled_parts(
        self, probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]
    ) -> BundleParts:
        """Return ``parts`` with the thresholds that validation chooses; the same as it stands.

        Args:
            probabilities: (n, n_labels), calibrated, of the validation split.
            targets: (n,) its classes.

        Returns:
            What goes into the manifest.
        """
        del probabilities, targets
        return self.parts()

    def fit_directly(
        self, recipe: Recipe, data_dir: Path, out: Path, console: Console
    ) -> DirectFit:
        """Fit in one go, where ``fits_directly``.

        Args:
            recipe: the recipe that this experiment belongs to.
            data_dir: the data, as ``--data`` names it.
            out: the run's folder, for parts that can be kept when the work is cut.
            console: where progress is shown.

        Returns:
            The model, and what folds said that had not seen whom they answered for.

        Raises:
            TrainingError: this experiment is trained by passes.
        """
        del data_dir, out, console
        raise TrainingError(
            f"{self.task} is trained by passes",
            source=recipe.name,
            next_step="Use trainer fit",
        )

    def figures(
        self, targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]
    ) -> dict[str, Any]:
        """Return the figures of some examples as plain JSON values.

        Args:
            targets: (n,) or (n, length) classes.
            probabilities: as ``score`` gave them.

        Returns:
            ``metrics.Scores`` as a dict, or more.
        """
        return metrics.score(targets, probabilities).as_dict(self.parts().labels)

    def split_figures(
        self, split: Split, probabilities: npt.NDArray[np.float32], path: Path
    ) -> dict[str, Any]:
        """Return the figures of a whole split; override where examples are more than rows.

        Args:
            split: what was scored.
            probabilities: as ``score`` gave them.
            path: where ``split`` came from.

        Returns:
            What ``figures`` returns, or more.
        """
        del path
        return self.figures(split.targets.numpy(), probabilities)

    def pictures(
        self,
        figures: dict[str, Any],
        split: Split,
        probabilities: npt.NDArray[np.float32],
        folder: Path,
    ) -> list[Path]:
        """Draw what ``evaluate`` found.

        Args:
            figures: as ``split_figures`` gave them.
            split: what was scored.
            probabilities: as ``score`` gave them.
            folder: where the PNG files go; it exists.

        Returns:
            The files, in the order in which to look at them; none as it stands.
        """
        del figures, split, probabilities, folder
        return []

    def remarks(self, shipped: dict[str, Any], split: Split) -> dict[str, Any]:
        """Return what ``evaluate`` must say beside the figures.

        Args:
            shipped: the bundle's own ``metrics.json``.
            split: what was scored.

        Returns:
            Plain JSON values; ``notes`` is a list of sentences for the reader.
        """
        del shipped, split
        return {}

    def measured(self, figures: dict[str, Any]) -> str | None:
        """Return the model card's section on figures; None: the usual one for validation."""
        del figures
        return None

    def score(self, run: RunGraph, split: Split) -> npt.NDArray[np.float32]:
        """Return the probabilities of every example from the exported graphs.

        As it stands, feeds each example alone to the graph ``model``, its inputs named by
        ``input_names``: override it for a bundle of two graphs.

        Args:
            run: runs one graph of the bundle.
            split: what to score.

        Returns:
            ``(n, n_labels)``, or ``(n, length, n_labels)`` for targets of ``(n, length)``.
        """
        arrays = dict(
            zip(self.input_names, (tensor.numpy() for tensor in split.inputs), strict=True)
        )
        rows = [
            run("model", {name: array[i : i + 1] for name, array in arrays.items()})
            for i in range(len(split.targets))
        ]
        return np.concatenate([row["probabilities"] for row in rows]).astype(np.float32)

    def subsets(
        self, path: Path, split: Split, duplicates_of: Path | None = None
    ) -> dict[str, npt.NDArray[np.bool_]]:
        """Return named parts of an evaluation split that are scored on their own as well.

        Args:
            path: the data that ``split`` came from.
            split: the evaluation split.
            duplicates_of: other data; what is in there too counts as a copy.

        Returns:
            Name to an ``(n,)`` mask; empty unless an experiment has something to say.
        """
        del path, split, duplicates_of
        return {}

    def grouped_scores(
        self, split: Split, probabilities: npt.NDArray[np.float32]
    ) -> dict[str, Scores]:
        """Return figures over something larger than an example, such as people.

        Args:
            split: the evaluation split.
            probabilities: as ``score`` gave them.

        Returns:
            Name to figures, shown beside the subsets; empty unless an experiment has them.
        """
        del split, probabilities
        return {}

    def cross_validate(
        self, recipe: Recipe, data_dir: Path, out: Path, console: Console, workers: int = 1
    ) -> dict[str, Any]:
        """Train and score on folds of people; the figures to believe where people are few.

        Args:
            recipe: the recipe that this experiment belongs to.
            data_dir: the data, as ``--data`` names it.
            out: folder of the folds' runs; nothing is written outside. Finished folds in it are
                not run again.
            console: where progress and tables are shown.
            workers: folds trained at a time, a process each, where the method can.

        Returns:
            All figures as plain JSON values.

        Raises:
            TrainingError: this experiment has no cross-validation.
        """
        del data_dir, console, workers
        raise TrainingError(
            f"no cross-validation for {self.task} by this recipe",
            source=recipe.name,
            next_step=f"Use trainer fit, then trainer evaluate; nothing was written to {out}",
        )
