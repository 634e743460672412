"""The folder of one training run: recipe, checkpoints, log, curve, and where it all came from.

    recipe.yaml   the recipe with every default written out
    run.json      command, commit, hardware, versions, date
    last.pt       after the last whole pass: model, optimiser, average; ``--resume`` starts here
    best.pt       weights of the best pass on validation; ``trainer export`` takes these
    log.csv       one line a pass
    curve.png     the same as a picture
    tensorboard/  the same for TensorBoard, where ``--tensorboard`` asked for it
    nan_batch.npz the batch whose loss was no number, where one was: the run stopped there

Files are written beside and renamed, so a kill leaves the old or the new one, never half of one.
Checkpoints hold tensors and numbers only and are read with ``weights_only=True``.
"""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edge_app.errors import TrainingError
from trainer.ema import Ema
from trainer.learning_curve import Row, best_row, draw_png, to_csv
from trainer.provenance import Provenance
from trainer.recipe import FitOptions

if TYPE_CHECKING:
    from lightning.fabric.plugins.precision import Precision

    from trainer.tensorboard_log import TensorBoardLog

REDRAW_S = 20.0
"""A picture takes longer than many a small pass: the curve is drawn this often, and at the end."""


LAST = "last.pt"
"""The file of the last whole pass: all that a run goes on from."""


@dataclass(frozen=True, slots=True)
class PassWeights:
    """A pass and its weights."""

    row: Row
    weights: dict[str, Tensor]


class RunDir:
    """One run's folder.

    Args:
        path: the folder, made by ``create`` or by an earlier run.
        board: also gets every pass; None: no TensorBoard.
    """

    def __init__(self, path: Path, board: TensorBoardLog | None = None) -> None:
        self.path = path
        self._board = board
        self._recipe_file = path / "recipe.yaml"
        self._drawn_s = -math.inf

    def create(self, recipe_yaml: str, provenance: Provenance, *, resume: bool) -> None:
        """Prepare the folder for a new run, or check that it is the same run to resume.

        Args:
            recipe_yaml: the recipe with every default written out.
            provenance: where the run comes from.
            resume: whether a run that is there may go on.

        Raises:
            TrainingError: the folder holds another run, or cannot be written.
        """
        self.refuse_other_run(recipe_yaml, resume=resume)
        if self._recipe_file.is_file():
            provenance = _resumed(self.provenance(), provenance.commit)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _write(self.path / "run.json", json.dumps(asdict(provenance), indent=2).encode())
            _write(self._recipe_file, recipe_yaml.encode())
        except OSError as error:
            raise TrainingError(
                f"cannot write the run: {error}",
                source=str(self.path),
                next_step="Give --out a folder that can be written",
            ) from error

    def refuse_other_run(self, recipe_yaml: str, *, resume: bool) -> None:
        """Refuse a folder that holds another run; writes nothing.

        Args:
            recipe_yaml: the recipe with every default written out.
            resume: whether a run that is there may go on.

        Raises:
            TrainingError: the folder holds a run and may not go on, or one of another recipe.
        """
        recipe_file = self._recipe_file
        if not recipe_file.is_file():
            return
        if not resume:
            raise TrainingError(
                "there is a run here already",
                source=str(self.path),
                next_step="Add --resume to continue it, or give --out a new folder",
            )
        if recipe_file.read_text(encoding="utf-8") != recipe_yaml:
            raise TrainingError(
                "the run here was started with another recipe",
                source=str(recipe_file),
                next_step="Resume with the same recipe and --set, or give --out a new folder",
            )

    def has_checkpoint(self) -> bool:
        """Return whether at least one whole pass is stored."""
        return (self.path / LAST).is_file()

    def load_last(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        ema: Ema,
        scaler: Precision | None = None,
    ) -> list[Row]:
        """Put model, optimiser and average back to the last whole pass.

        Args:
            model: gets its weights.
            optimizer: gets its momenta.
            ema: gets its average.
            scaler: gets the scale of a 16-bit loss, where there is one.

        Returns:
            The rows of all passes so far.

        Raises:
            TrainingError: the file is damaged, or of another model.
        """
        state = self._load(LAST)
        self.load_weights(model, state["model"], LAST)
        try:
            optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise self._does_not_fit(LAST) from error
        ema.put_back(state["average"], state["steps"])
        if scaler is not None and state.get("scaler"):
            scaler.load_state_dict(state["scaler"])
        return [Row(**row) for row in state["rows"]]

    def save_pass(
        self,
        rows: list[Row],
        options: FitOptions,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        ema: Ema,
        scaler: Precision | None = None,
    ) -> None:
        """Store the pass that just ended, and its weights apart if it is the best so far.

        Args:
            rows: all passes so far, the one that just ended last.
            options: how the best pass is chosen.
            model: the trained weights.
            optimizer: its momenta.
            ema: the averaged weights, stored as the best.
            scaler: of a 16-bit loss.

        Raises:
            TrainingError: the folder cannot be written.
        """
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "average": ema.average,
            "steps": ema.steps,
            "scaler": {} if scaler is None else scaler.state_dict(),
            "rows": [asdict(row) for row in rows],
        }
        try:
            if best_row(rows, options.select_by) is rows[-1]:
                best = {"row": asdict(rows[-1]), "weights": ema.average}
                _write_with(self.path / "best.pt", lambda file: torch.save(best, file))
            _write_with(self.path / LAST, lambda file: torch.save(state, file))
            _write(self.path / "log.csv", to_csv(rows).encode())
            if self._board is not None:
                self._board.write(rows[-1])
            if time.monotonic() > self._drawn_s + REDRAW_S:
                self.draw_curve(rows)
        except OSError as error:
            raise self._cannot_store(error) from error

    def draw_curve(self, rows: list[Row]) -> None:
        """Draw the picture of the passes so far.

        Args:
            rows: at least one.

        Raises:
            TrainingError: the folder cannot be written.
        """
        try:
            _write_with(self.path / "curve.png", lambda file: draw_png(rows, file))
        except OSError as error:
            raise self._cannot_store(error) from error
        self._drawn_s = time.monotonic()

    def _cannot_store(self, error: OSError) -> TrainingError:
        return TrainingError(
            f"cannot store the pass: {error}",
            source=str(self.path),
            next_step="Free space or make it writable, then continue with --resume",
        )

    def load_best(self) -> PassWeights:
        """Return the best pass's weights.

        Returns:
            The weights, averaged ones if the recipe asked for them.

        Raises:
            TrainingError: no pass has ended yet, or the file is damaged.
        """
        state = self._load("best.pt")
        return PassWeights(row=Row(**state["row"]), weights=state["weights"])

    def load_newest(self) -> PassWeights:
        """Return the last pass's weights.

        Returns:
            The weights, averaged ones if the recipe asked for them.

        Raises:
            TrainingError: no pass has ended yet, or the file is damaged.
        """
        state = self._load(LAST)
        return PassWeights(row=Row(**state["rows"][-1]), weights=state["average"])

    def load_weights(self, model: nn.Module, weights: dict[str, Tensor], name: str) -> None:
        """Put a checkpoint's weights into a model.

        Args:
            model: gets them.
            weights: tensors by name.
            name: the checkpoint's file.

        Raises:
            TrainingError: they are another model's.
        """
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise self._does_not_fit(name) from error

    def _does_not_fit(self, name: str) -> TrainingError:
        return TrainingError(
            "the checkpoint does not fit the model: the code has changed since",
            source=str(self.path / name),
            next_step="Train again with another --out",
        )

    def provenance(self) -> Provenance:
        """Return where the run came from.

        Returns:
            What ``create`` stored.

        Raises:
            TrainingError: this is no run.
        """
        try:
            return Provenance(**json.loads((self.path / "run.json").read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise TrainingError(
                f"no readable run.json: {error}",
                source=str(self.path),
                next_step="Name a folder made by `trainer fit`",
            ) from error

    def _load(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise TrainingError(
                f"no {name}: no pass has ended here",
                source=str(self.path),
                next_step="Run `trainer fit` until its first pass is done",
            ) from error
        except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
            raise TrainingError(
                "the checkpoint cannot be read",
                source=str(path),
                next_step="It is damaged or not ours: train again with another --out",
            ) from error
        return state


def _resumed(first: Provenance, commit: str) -> Provenance:
    """Return the first provenance, the commit that goes on added when it is not the last one."""
    if first.commit.rpartition(", resumed at ")[2] == commit:
        return first
    return replace(first, commit=f"{first.commit}, resumed at {commit}")


def _write(path: Path, data: bytes) -> None:
    _write_with(path, lambda file: file.write(data))


def _write_with(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        write(file)
    beside.replace(path)
