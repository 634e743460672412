"""``edge-app``, also as ``python -m edge_app``."""

from __future__ import annotations

import sys

from edge_app.cli import run_command_line


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
