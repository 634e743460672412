"""A network camera: Motion-JPEG over HTTP on loopback, which can stall, vanish and come back."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from types import TracebackType
from typing import Any, Literal

import cv2
import numpy as np

NetworkFault = Literal["stall", "damaged", "frozen"]


class NetworkCamera:
    """Serves pictures until told otherwise; ``stop`` and ``start`` keep the port.

    Args:
        frames: what it shows, over and over: (h, w, 3) uint8 BGR.
        rate_hz: pictures a second.
    """

    def __init__(self, frames: list[np.ndarray], rate_hz: float = 30.0) -> None:
        self.pictures = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]
        self.interval_s = 1.0 / rate_hz
        self.fault: NetworkFault | None = None
        self.port = 0
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.port}/stream.mjpg?token=1"

    def start(self) -> NetworkCamera:
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Vanish: every connection is cut, and no new one is taken."""
        server, self._server = self._server, None
        if server is not None:
            server.stopping.set()
            server.shutdown()
            server.server_close()

    def __enter__(self) -> NetworkCamera:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], camera: NetworkCamera) -> None:
        self.camera = camera
        self.stopping = threading.Event()
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer that hangs up is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        camera = self.server.camera
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        due_s, number = time.monotonic(), 0
        with contextlib.suppress(OSError):
            while not self.server.stopping.is_set():
                due_s = max(due_s + camera.interval_s, time.monotonic() - 1.0)
                self.server.stopping.wait(max(0.0, due_s - time.monotonic()))
                if camera.fault == "stall":
                    continue
                body = camera.pictures[number % len(camera.pictures)]  # the next one, or the same
                if camera.fault == "damaged":
                    body = b"\xff\xd8" + bytes(range(256)) * 8
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body + b"\r\n")
                number += camera.fault != "frozen"
