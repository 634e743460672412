"""Where a run comes from: command, commit, hardware, versions, date."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a reader needs to repeat a run.

    Args:
        recipe: its name.
        command: as typed.
        commit: of the code, ``+changes`` where it was changed since.
        hardware: what it ran on.
        versions: of Python and torch.
        date: of its start, in UTC.
        leak: what stood on both sides of the split, where ``--allow-leak`` let it.
        pretrained: file and sha256 of the weights that it started from, where there were any.
        story: what other runs had part in its weights; None: of a run begun before this was kept.
    """

    recipe: str
    command: str
    commit: str
    hardware: str
    versions: str
    date: str
    leak: str | None = None
    pretrained: str | None = None
    story: str | None = None


def collect(
    recipe: str,
    leak: str | None = None,
    pretrained: str | None = None,
    story: str | None = None,
    devices: int = 1,
) -> Provenance:
    """Return the provenance of the command that runs now.

    Args:
        recipe: its name.
        leak: what ``splits.refuse_leak`` let through.
        pretrained: what ``Experiment.pretrained`` named.
        story: what ``Experiment.story`` said.
        devices: that share each batch.

    Returns:
        All of it.
    """
    return Provenance(
        recipe=recipe,
        command=shlex.join(["trainer", *sys.argv[1:]]),
        commit=_commit(),
        hardware=_hardware(devices),
        versions=f"Python {platform.python_version()}, torch {torch.__version__}",
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        leak=leak,
        pretrained=pretrained,
        story=story,
    )


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(  # noqa: S603 - fixed words, no shell
            ["git", "-C", str(ROOT), *words],  # noqa: S607 - git by the user's own PATH
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        changed = "+changes" if git("status", "--porcelain", "--", "trainer", "edge_app") else ""
        return git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not a git checkout)"


def _hardware(devices: int) -> str:
    if torch.cuda.is_available():
        return f"{devices} x {torch.cuda.get_device_name()}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{cores} cores of {model}"
