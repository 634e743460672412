"""What a person sees while a bundle is scored or a data set audited: what is done, what is left."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)


class EvaluationProgress:
    """A line with a bar; without a count it only says what is being done.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> EvaluationProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, text: str) -> None:
        """Say what is done from now on."""
        self._bar.reset(self._task, total=None, description=text)

    def count(self, done: int, total: int) -> None:
        """Show how much of it is done."""
        self._bar.update(self._task, completed=done, total=total)
