"""Signs of life over a real notify socket: they come while every loop turns, and only then."""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edge_app import build, run
from edge_app.config import load_config
from edge_app.contracts import Chunk
from edge_app.run import run_device
from edge_app.sources.simulated_source import SimulatedSource
from edge_app.watchdog import PING_EVERY_S, Watchdog
from tests.bundles import write_bundle

WITHIN_S = 60.0
CONFIG = """
device: test
streams:
  - {name: lives, bundle: exports/frailty, source: {kind: simulated, sensor: imu, seed: 1}}
  - {name: hangs, bundle: exports/frailty, source: {kind: simulated, sensor: imu, seed: 2}}
sinks:
  - {kind: jsonl, directory: out}
"""


class Systemd:
    """The listening end of a notify socket; a thread takes every message as it comes."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.messages: queue.Queue[str] = queue.Queue()
        self.address = self._socket.getsockname()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        with self._socket:
            while message := self._socket.recv(4096).decode():
                self.messages.put(message)

    def close(self) -> None:
        """End the thread and close the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()

    def next_ping(self, within_s: float) -> str | None:
        """The next WATCHDOG=1, None when none comes."""
        end_s = time.monotonic() + within_s
        while (left_s := end_s - time.monotonic()) > 0.0:
            try:
                message = self.messages.get(timeout=left_s)
            except queue.Empty:
                return None
            if "WATCHDOG=1" in message:
                return message
        return None

    def forget(self) -> None:
        """Drop what has come so far."""
        while not self.messages.empty():
            self.messages.get()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setenv("BEDSIDE_ALIVE_FILE", str(tmp_path / "alive"))
    listener = Systemd(address)
    yield listener
    listener.close()


class HangsInNativeCode:
    """Wraps a source: holds its event loop still while ``held`` is set, as a stuck driver does."""

    def __init__(self, source: SimulatedSource, held: threading.Event) -> None:
        self._source, self._held = source, held

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        async for chunk in self._source:
            while self._held.is_set():
                time.sleep(0.02)  # noqa: ASYNC251 - the fault itself
            yield chunk


def test_pings_stop_with_the_event_loop_of_one_stream_and_come_back_with_it(
    tmp_path: Path,
    systemd: Systemd,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_bundle(tmp_path / "exports", "frailty")
    (tmp_path / "device.yaml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.setattr(run, "STALLED_AFTER_S", 1.5)
    held, honest = threading.Event(), build.build_source

    def build_source(config, *rest):
        source = honest(config, *rest)
        return HangsInNativeCode(source, held) if config.name == "hangs" else source

    monkeypatch.setattr(build, "build_source", build_source)
    seen: dict[str, object] = {}

    def watch() -> None:
        try:
            seen["first"] = systemd.messages.get(timeout=WITHIN_S)
            seen["alive"] = systemd.next_ping(WITHIN_S)
            seen["file while alive"] = (tmp_path / "alive").exists()
            held.set()
            end_s = time.monotonic() + WITHIN_S
            while "hangs in native code" not in caplog.text and time.monotonic() < end_s:
                time.sleep(0.05)
            systemd.forget()
            seen["while it hangs"] = systemd.next_ping(1.0)  # ten are due
            held.clear()
            seen["alive again"] = systemd.next_ping(WITHIN_S)
        finally:
            held.clear()
            systemd.forget()
            os.kill(os.getpid(), signal.SIGTERM)

    observer = threading.Thread(target=watch)
    observer.start()
    with caplog.at_level(logging.ERROR):
        result = run_device(load_config(tmp_path / "device.yaml"))
    observer.join()
    assert result.exit_code == 0
    assert seen["first"] == "READY=1"
    assert "STATUS=lives " in str(seen["alive"])
    assert "(onnxruntime-cpu)" in str(seen["alive"])
    assert seen["file while alive"]
    assert "hangs: hangs in native code" in caplog.text
    assert seen["while it hangs"] is None
    assert seen["alive again"] is not None
    said = []
    while not systemd.messages.empty() or not said:
        said.append(systemd.messages.get(timeout=WITHIN_S))
    assert said[-1] == "STOPPING=1"
    assert not (tmp_path / "alive").exists()


def test_an_abstract_address_is_understood() -> None:
    address = f"@bedside-test-{os.getpid()}"
    listener = Systemd(address)
    Watchdog({"NOTIFY_SOCKET": address}).ready()
    assert listener.messages.get(timeout=WITHIN_S) == "READY=1"
    listener.close()


def test_nobody_listens_and_nothing_breaks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Watchdog({}).ready()
    Watchdog({}).beat([], "foot running")
    assert not caplog.text
    Watchdog({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()
    assert "systemd was not told READY=1" in caplog.text
    Watchdog({"BEDSIDE_ALIVE_FILE": str(tmp_path / "missing" / "alive")}).ready()
    assert "no sign of life can be left there" in caplog.text


def test_it_pings_twice_within_the_time_of_systemd() -> None:
    own = str(os.getpid())
    assert Watchdog({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": own}).every_s == 2.0
    assert Watchdog({"WATCHDOG_USEC": "30000000"}).every_s == PING_EVERY_S
    for given in (
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "400000", "WATCHDOG_PID": "1"},  # meant for another process
    ):
        assert Watchdog(given).every_s == PING_EVERY_S
