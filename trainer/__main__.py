"""Entry point of the command ``trainer``."""

from __future__ import annotations

import sys
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from edge_app.errors import EdgeAppError, TrainingError
from trainer.cli import INTERRUPTED, app

TRAINING_LIBRARIES = ("torch", "lightning", "onnx", "sklearn", "matplotlib")


def main() -> None:
    """Run the command line; a known error ends with one message and its own exit code."""
    try:
        app()
    except EdgeAppError as error:
        _end(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in TRAINING_LIBRARIES:
            raise
        _end(
            TrainingError(
                f"the training part is not installed here: {error.name} is missing",
                next_step="Install it with `pip install '.[train]'`, or use .venv-dev, which "
                "scripts/test makes",
            )
        )
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _end(error: EdgeAppError) -> NoReturn:
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"[bold red]error:[/bold red] {escape(str(error))}"
    )
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
