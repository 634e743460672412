"""The release of Jetson Linux (L4T): in the key of every engine, and told by the doctor."""

from __future__ import annotations

import re
from pathlib import Path

L4T_FILE = Path("/etc/nv_tegra_release")
NO_L4T = "none"


def parse_l4t(text: str) -> str | None:
    """Return the release in the text of ``/etc/nv_tegra_release``, such as ``36.4.3``.

    Args:
        text: whose first line is such as ``# R36 (release), REVISION: 4.3, ...``.

    Returns:
        The release; None where the text tells none.
    """
    found = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*(\d[\d.]*)", text)
    return f"{found[1]}.{found[2]}" if found else None


def read_l4t_release(path: Path = L4T_FILE) -> str:
    """Return this machine's release, such as ``R36.4.3``, or ``none``.

    Args:
        path: of the file that tells it.

    Returns:
        The release; what stands there, after ``unknown:``, where that is something else.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return NO_L4T
    release = parse_l4t(text)
    return f"R{release}" if release else f"unknown: {text.partition(chr(10))[0][:60]}"
