"""Entry point of the command ``trainer``."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape

from edge_app.errors import EdgeAppError
from trainer.cli import INTERRUPTED, app


def main() -> None:
    """Run the command line; a known error ends with one message and its own exit code."""
    try:
        app()
    except EdgeAppError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error:[/bold red] {escape(str(error))}"
        )
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
