"""What reading a camera costs, and how old its pictures are when the program gets them.

    python benchmarks/camera_load.py            # 640x480 at 30 frames a second, 20 s each

The pictures are Motion-JPEG, as most USB cameras send them, of a real video where the recordings
are (``BEDSIDE_DATA``): once from a file in a loop, once over HTTP on loopback from a process of its
own. ``cpu`` is that of this whole process, in percent of one core: fetching, decoding, checking,
handing over; no face is looked for. ``age`` is from the moment at which a frame was grabbed to its
arrival; what the camera itself takes comes on top. ``slow`` reads twice a second.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the doubles of the tests

from edge_app.sources.opencv_camera import CameraSource
from tests.camera_double import camera_video, read_video
from tests.camera_network import NetworkCamera

SLOW_READER_S = 0.5


def write_clip(path: Path, frames: list[np.ndarray], rate_hz: float) -> None:
    """Write frames as Motion-JPEG."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()


def serve(clip: Path, rate_hz: float, to_parent: Connection) -> None:
    """Serve a clip until killed; say the address first."""
    with NetworkCamera(read_video(clip), rate_hz) as camera:
        to_parent.send(camera.url)
        time.sleep(3600.0)


async def read(name: str, device: str, rate_hz: float, seconds_s: float, pause_s: float) -> None:
    """Read a camera and print a row."""
    source = CameraSource(name="camera", device=device, rate_hz=rate_hz)
    await source.open()
    ages_s: list[float] = []
    began_s, began_cpu_s, troubles = time.monotonic(), time.process_time(), set()
    async for chunk in source:
        now_s = time.monotonic()
        ages_s.append(now_s - float(chunk.times_s[0]))
        troubles.add(source.trouble)
        if now_s - began_s > seconds_s:
            break
        if pause_s:
            await asyncio.sleep(pause_s)
    took_s, cpu_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
    figures = dict(source.figures)
    await source.close()
    p50_ms, p95_ms = (1e3 * float(np.percentile(ages_s, q)) for q in (50, 95))
    print(
        f"{name:12} | {100 * cpu_s / took_s:5.1f} | {p50_ms:7.2f} | {p95_ms:7.2f} | "
        f"{len(ages_s) / took_s:5.1f} | {source.dropped:7d} | {figures['repeated_frames']:8.0f} | "
        f"{'; '.join(sorted(troubles - {''})) or 'none'}",
        flush=True,
    )


def main() -> None:
    """Parse the command line, read each camera, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each run")
    given = parser.parse_args()
    width, height = (int(side) for side in given.size.split("x"))
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        clip = folder / "clip.avi"
        video = camera_video(folder)
        frames = [cv2.resize(frame, (width, height)) for frame in read_video(video)]
        write_clip(clip, frames, given.rate)
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        server = context.Process(target=serve, args=(clip, given.rate, there), daemon=True)
        server.start()
        url = here.recv()
        print(
            f"{video.name}, {given.size} at {given.rate:g} frames a second, OpenCV "
            f"{cv2.__version__}, load before {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )
        print("camera       | cpu % | p50 ms  | p95 ms  | fps   | dropped | repeated | trouble")
        for name, device, pause_s in (
            ("file", str(clip), 0.0),
            ("network", url, 0.0),
            ("network slow", url, SLOW_READER_S),
        ):
            asyncio.run(read(name, device, given.rate, given.seconds, pause_s))
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
