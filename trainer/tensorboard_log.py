"""The learning curve for TensorBoard, beside ``log.csv``: ``tensorboard --logdir RUN``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from edge_app.errors import TrainingError
from trainer.learning_curve import Row


class TensorBoardLog:
    """Scalars by pass, on disk after every pass.

    Args:
        folder: of the event files, made with the first pass; a resumed run adds a file.

    Raises:
        TrainingError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                f"TensorBoard is not installed: {error}",
                source="--tensorboard",
                next_step="Install it with `pip install tensorboard`; log.csv and curve.png need"
                " nothing more",
            ) from error
        self._folder, self._make_writer = folder, SummaryWriter

    def write(self, row: Row) -> None:
        """Add one pass; figures that were not measured are left out."""
        with self._make_writer(str(self._folder), filename_suffix=f".{row.index + 1}") as writer:
            for name, value in asdict(row).items():
                if name != "index" and value is not None:
                    writer.add_scalar(name, value, row.index + 1)
