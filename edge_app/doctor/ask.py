"""What one Python library says of itself, as JSON: ``python -m edge_app.doctor.ask opencv``.

Each question is run in a process of its own, because these libraries load native code that may be
for another machine. A library that is not there or does not load is an answer, not a failure.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import re
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from typing import Any

Said = dict[str, Any]
ANSWER_WITHIN_S = 5.0
_STA_UNSYNC = 0x40
"""linux/timex.h: the kernel's clock is disciplined by nobody."""
_TIMEX_BYTES = 512
"""More than sizeof(struct timex), 208 bytes on 64-bit Linux."""
_STATUS_OFFSET = 40
_MAX_ERROR_OFFSET = 24


def _installed(prefix: str) -> list[str]:
    """Return installed distributions whose name begins so, with versions."""
    found = {(dist.name or "").lower(): dist.version for dist in distributions()}
    return [f"{name} {found[name]}" for name in sorted(found) if name.startswith(prefix)]


def ask_onnxruntime() -> Said:
    """Return version, providers, and which packages brought it."""
    from edge_app.inference.onnx_runtime import load_onnxruntime

    onnxruntime = load_onnxruntime()
    return {
        "version": onnxruntime.__version__,
        "providers": list(onnxruntime.get_available_providers()),
        "packages": _installed("onnxruntime"),
    }


def ask_opencv() -> Said:
    """Return version, file, what it can open, and which packages brought it."""
    import cv2

    built = cv2.getBuildInformation()
    shown = dict(re.findall(r"^\s+(GStreamer|v4l/v4l2|FFMPEG):\s+(\S+)", built, re.MULTILINE))
    return {
        "version": cv2.__version__,
        "file": cv2.__file__,
        "gstreamer": shown.get("GStreamer") == "YES",
        "v4l2": shown.get("v4l/v4l2") == "YES",
        "ffmpeg": shown.get("FFMPEG") == "YES",
        "packages": _installed("opencv"),
    }


def ask_tensorrt() -> Said:
    """Return version and file of the Python module."""
    import tensorrt

    return {"version": tensorrt.__version__, "file": tensorrt.__file__}


def ask_liblsl() -> Said:
    """Return which liblsl is loaded."""
    from edge_app.errors import SourceError
    from edge_app.sources.liblsl import liblsl_facts

    try:
        facts = liblsl_facts()
    except SourceError as error:
        return {"error": error.problem, "tried": str(error.got), "mend": error.next_step}
    return {
        "version": facts.version,
        "path": facts.path,
        "origin": facts.origin,
        "pylsl": facts.pylsl_version,
    }


def ask_bluez() -> Said:
    """Return the adapters that BlueZ tells this user of over D-Bus, or why it does not."""
    try:
        return {"adapters": asyncio.run(asyncio.wait_for(_adapters(), ANSWER_WITHIN_S))}
    except asyncio.TimeoutError:
        return {"error": "TimedOut", "detail": f"no answer within {ANSWER_WITHIN_S:g} s"}


async def _adapters() -> list[Said]:
    from dbus_fast import BusType, Message, MessageType
    from dbus_fast.aio import MessageBus

    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        reply = await bus.call(
            Message(
                destination="org.bluez",
                path="/",
                interface="org.freedesktop.DBus.ObjectManager",
                member="GetManagedObjects",
            )
        )
    finally:
        bus.disconnect()
    if reply is None or reply.message_type is MessageType.ERROR:
        name = "no reply" if reply is None else str(reply.error_name)
        raise ConnectionError(name)
    return [
        {"name": path.rsplit("/", 1)[-1], "powered": bool(radio["Powered"].value)}
        for path, interfaces in sorted(reply.body[0].items())
        for radio in [interfaces.get("org.bluez.Adapter1")]
        if radio is not None
    ]


def ask_clock() -> Said:
    """Return whether somebody disciplines the kernel's clock; adjtimex(2) without setting it."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: only ask
    if libc.adjtimex(timex) < 0:
        return {"error": "OSError", "detail": f"adjtimex: errno {ctypes.get_errno()}"}
    status = int.from_bytes(timex.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], sys.byteorder)
    max_error_us = int.from_bytes(timex.raw[_MAX_ERROR_OFFSET : _MAX_ERROR_OFFSET + 8], "little")
    return {"synchronised": not status & _STA_UNSYNC, "max_error_s": max_error_us / 1e6}


QUESTIONS: dict[str, Callable[[], Said]] = {
    "onnxruntime": ask_onnxruntime,
    "opencv": ask_opencv,
    "tensorrt": ask_tensorrt,
    "liblsl": ask_liblsl,
    "bluez": ask_bluez,
    "clock": ask_clock,
}


def answer(question: str) -> Said:
    """Return what a library says; ``error`` and ``detail`` where it does not load.

    Args:
        question: one of ``QUESTIONS``.
    """
    try:
        return QUESTIONS[question]()
    except ModuleNotFoundError as error:
        return {"error": "ModuleNotFoundError", "absent": error.name, "detail": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a foreign library raises is the answer
        said = (str(error) or type(error).__name__).splitlines()[0]
        return {"error": type(error).__name__, "detail": said[:300]}


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(answer(sys.argv[1])) + "\n")
