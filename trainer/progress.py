"""What a person sees while a model trains: a bar with the time left, and one line a pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trainer.learning_curve import Row


class PassProgress:
    """A bar over all steps of all passes.

    The time left is that of the last whole pass, its validation included, times the passes left:
    right where passes are alike, too long where a run stops early.

    Args:
        console: where to draw.
        passes: passes of the whole run.
        steps: steps a pass.
        rows: passes that an earlier run has done.
        clock: seconds that rise, for tests.
    """

    def __init__(
        self,
        console: Console,
        passes: int,
        steps: int,
        rows: list[Row],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._passes, self._steps, self._clock = passes, steps, clock
        self._whole, self._steps_in_pass = len(rows), 0
        self._pass_s = rows[-1].seconds if rows else None
        self._began_s = clock()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps, elapsed"),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task(
            "training", total=passes * steps, completed=self._whole * steps, left="?"
        )

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

    def left_s(self) -> float | None:
        """Return the seconds until the last pass ends; None before the first step."""
        in_pass_s = self._clock() - self._began_s
        pass_s = self._pass_s
        if pass_s is None:  # no whole pass yet: from its steps, without the validation to come
            if not self._steps_in_pass:
                return None
            pass_s = in_pass_s * self._steps / self._steps_in_pass
        return max(0.0, pass_s - in_pass_s) + pass_s * (self._passes - self._whole - 1)

    def step(self, mean_loss: float) -> None:
        """Count one step and show the pass's mean loss so far."""
        self._steps_in_pass += 1
        self._bar.update(
            self._task,
            advance=1,
            description=f"training, loss {mean_loss:.4f}",
            left=_clock_time(self.left_s()),
        )

    def row(self, row: Row) -> None:
        """Print the line of one finished pass above the bar."""
        self._whole, self._steps_in_pass = row.index + 1, 0
        self._pass_s, self._began_s = row.seconds, self._clock()
        self._bar.update(self._task, left=_clock_time(self.left_s()))
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


def _clock_time(seconds: float | None) -> str:
    """Return hours, minutes and seconds, as in 1:02:03."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
