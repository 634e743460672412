"""What a person sees while a model trains: a bar with the time left, and one line a pass."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from trainer.learning_curve import Row


class PassProgress:
    """A bar over all steps of all passes.

    Args:
        console: where to draw.
        passes: passes of the whole run.
        steps: steps a pass.
        done: passes that an earlier run has done.
    """

    def __init__(self, console: Console, passes: int, steps: int, done: int) -> None:
        self._passes = passes
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps, elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("training", total=passes * steps, completed=done * steps)

    def __enter__(self) -> PassProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def step(self, mean_loss: float) -> None:
        """Count one step and show the pass's mean loss so far."""
        self._bar.update(self._task, advance=1, description=f"training, loss {mean_loss:.4f}")

    def row(self, row: Row) -> None:
        """Print the line of one finished pass above the bar."""
        validated = ""
        if row.validation_loss is not None:
            validated = (
                f"validation {row.validation_loss:.4f} accuracy {row.accuracy:.4f}"
                f" macro-F1 {row.macro_f1:.4f} "
            )
        self._bar.console.print(
            f"pass {row.index + 1:>3}/{self._passes} loss {row.train_loss:.4f} {validated}"
            f"{row.seconds:.1f} s",
            highlight=False,
            soft_wrap=True,
        )
