"""The one way in which the doctor looks at a machine: its files, its commands, its environment.

Every probe gets a ``Host`` and nothing else, so a made-up machine is a folder and recorded answers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge_app.inference.l4t import L4T_FILE

COMMAND_WITHIN_S = 10.0
PYTHON_WITHIN_S = 60.0
"""Importing TensorRT or OpenCV from a cold SD card takes tens of seconds."""
MOST_CHARACTERS = 1_000_000
_REAPED_WITHIN_S = 1.0
_PACKAGES = Path(__file__).resolve().parents[2]

Board = Literal["jetson", "raspberry-pi", "other"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said.

    Args:
        code: its exit status; None when it did not run or did not end.
        text: standard output, undecodable bytes replaced.
        trouble: why it is of no use, in words; empty when it ended with 0.
    """

    code: int | None
    text: str
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0


Run = Callable[[Sequence[str], float], Answer]


def run_command(command: Sequence[str], within_s: float = COMMAND_WITHIN_S) -> Answer:
    """Run a command to its end or kill it with all its children; never raise.

    Args:
        command: program and arguments; no shell.
        within_s: how long it may take.
    """
    name = command[0]
    paths = [str(_PACKAGES), os.environ.get("PYTHONPATH", "")]
    environ = {**os.environ, "LC_ALL": "C", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        process = subprocess.Popen(  # noqa: S603 - fixed commands, no shell
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            start_new_session=True,
        )
    except FileNotFoundError:
        return Answer(None, "", f"there is no command {name}")
    except OSError as error:
        return Answer(None, "", f"{name} cannot be run: {error.strerror or error}")
    try:
        out, err = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_REAPED_WITHIN_S)
        return Answer(None, "", f"{name} did not end within {within_s:g} s")
    text, said = (raw[:MOST_CHARACTERS].decode("utf-8", "replace") for raw in (out, err))
    if process.returncode == 0:
        return Answer(0, text)
    last = (said.strip() or text.strip() or "no word").splitlines()[-1]
    return Answer(process.returncode, text, f"{name} ended with {process.returncode}: {last[:300]}")


@dataclass(frozen=True, slots=True)
class Host:
    """A machine to look at.

    Args:
        root: where its file tree begins.
        run: runs a command with a time limit in seconds; must not raise.
        environ: its environment variables.
        python: the interpreter whose libraries count.
    """

    root: Path = Path("/")
    run: Run = run_command
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    python: str = sys.executable

    def path(self, absolute: str) -> Path:
        """Return where a path of the machine is.

        Args:
            absolute: such as ``/etc/os-release``.
        """
        return self.root / absolute.lstrip("/")

    def read(self, absolute: str) -> str | None:
        """Return a file's text without surrounding space and NUL, None when it cannot be read.

        Args:
            absolute: such as ``/etc/os-release``.
        """
        try:
            raw = self.path(absolute).read_bytes()
        except OSError:
            return None
        return raw.decode("utf-8", "replace").strip("\0 \t\r\n")

    def number(self, absolute: str) -> int | None:
        """Return the whole number in a file, None when there is none.

        Args:
            absolute: such as ``/sys/class/thermal/thermal_zone0/temp``.
        """
        try:
            return int(self.read(absolute) or "")
        except ValueError:
            return None

    def find(self, pattern: str) -> list[str]:
        """Return the machine's paths that match, sorted; none where a folder cannot be read.

        Args:
            pattern: absolute, such as ``/dev/video*``.
        """
        try:
            found = sorted(self.root.glob(pattern.lstrip("/")))
        except OSError:
            return []
        return [f"/{path.relative_to(self.root)}" for path in found]

    def exists(self, absolute: str) -> bool:
        """Return whether a path is there.

        Args:
            absolute: such as ``/.dockerenv``.
        """
        try:
            return self.path(absolute).exists()
        except OSError:
            return False

    def say(self, *command: str, within_s: float = COMMAND_WITHIN_S) -> Answer:
        """Run a command.

        Args:
            *command: program and arguments.
            within_s: how long it may take.
        """
        return self.run(command, within_s)

    def ask(self, question: str) -> tuple[dict[str, Any], Answer]:
        """Ask a Python of its own about a library, so that one that crashes or hangs harms nobody.

        Args:
            question: one of those of ``edge_app.doctor.ask``.

        Returns:
            What it said, and the answer of the command; nothing said where that is of no use.
        """
        command = (self.python, "-m", "edge_app.doctor.ask", question)
        answer = self.run(command, PYTHON_WITHIN_S)
        if not answer.good:
            return {}, Answer(answer.code, answer.text, f"{question}: {answer.trouble}")
        lines = answer.text.strip().splitlines()  # a library may have printed something before
        try:
            said = json.loads(lines[-1]) if lines else None
        except ValueError:
            said = None
        if not isinstance(said, dict):
            return {}, Answer(None, answer.text, f"{question}: an answer that is none")
        return said, answer

    def may_use(self, absolute: str) -> bool:
        """Return whether this user may read and write a device.

        Args:
            absolute: such as ``/dev/video0``.
        """
        return self.say("test", "-r", absolute, "-a", "-w", absolute).good

    @property
    def board(self) -> Board:
        """Which family of machine it is."""
        model = (self.read("/proc/device-tree/model") or "").lower()
        kernel = self.read("/proc/sys/kernel/osrelease") or ""
        if "jetson" in model or "tegra" in kernel or self.exists(str(L4T_FILE)):
            return "jetson"  # a container may hide the device tree
        return "raspberry-pi" if "raspberry pi" in model else "other"

    @property
    def in_container(self) -> bool:
        """Whether it is a container: a command for the machine then has to be run outside."""
        marks = ("/.dockerenv", "/run/.containerenv")
        return any(map(self.exists, marks)) or "container" in self.environ
