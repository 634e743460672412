"""A console that outlives its reader."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from io import UnsupportedOperation

from rich.console import Console


class SteadyConsole(Console):
    """A console that goes quiet when nobody reads it any more; rich's own ends the program."""

    def on_broken_pipe(self) -> None:
        """Write nothing from now on, also not what is still buffered."""
        self.quiet = True
        with suppress(UnsupportedOperation), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), self.file.fileno())

    @property
    def would_block(self) -> bool:
        """Whether the reader is so far behind that writing would wait for it."""
        try:
            return not select.select([], [self.file.fileno()], [], 0.0)[1]
        except UnsupportedOperation:
            return False
