"""Check a device: configuration, bundles, golden parity, sources, sinks; and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_app.build import build_source
from edge_app.clock import MonotonicClock
from edge_app.config import DeviceConfig, JsonlConfig, StreamConfig, load_config
from edge_app.contracts import StreamInfo
from edge_app.errors import EdgeAppError, SourceLostError
from edge_app.inference.bundle import Bundle, load_bundle, replay_golden
from edge_app.preprocess.face import HaarDetector, YuNetDetector
from edge_app.sinks.jsonl import make_writable_dir
from edge_app.tasks.protocol import fit_stream

FIRST_CHUNK_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Args:
        subject: what was looked at.
        passed: whether it is well.
        detail: what was found.
        next_step: what to do when it is not; empty otherwise.
    """

    subject: str
    passed: bool
    detail: str
    next_step: str = ""


def _failure(subject: str, error: EdgeAppError) -> Finding:
    without_step = str(error)[: -len(error.next_step) - 2] if error.next_step else str(error)
    return Finding(subject, False, without_step, error.next_step)


def check_bundle(path: Path) -> Iterator[Finding]:
    """Verify one bundle: manifest, hashes, graphs, and parity with its golden outputs.

    Args:
        path: the bundle's folder.

    Yields:
        One finding for the files and one for each golden output.
    """
    try:
        bundle = load_bundle(path)
        yield Finding(f"bundle {path.name}", True, f"{bundle.model_id}, all hashes right")
        for parity in replay_golden(bundle):
            yield Finding(
                f"bundle {path.name}: golden {parity.role}/{parity.output}",
                parity.passed,
                f"largest error {parity.max_abs_error:.1e} over {parity.cases} cases, "
                f"allowed {parity.tolerance:.0e} ({bundle.runners[parity.role].backend})",
                "" if parity.passed else "Do not use this bundle here; export it again",
            )
    except EdgeAppError as error:
        yield _failure(f"bundle {path.name}", error)


async def _open_once(config: StreamConfig, bundle: Bundle) -> tuple[StreamInfo, int]:
    """Open a source, wait for its first samples, close it."""
    source = build_source(config, bundle.manifest.task, MonotonicClock())

    async def first() -> int:
        async for chunk in source:
            if chunk.times_s.shape[0]:
                return int(chunk.times_s.shape[0])
        return 0

    try:
        info = await source.open()
        n = await asyncio.wait_for(first(), FIRST_CHUNK_WITHIN_S)
    except asyncio.TimeoutError as error:
        raise SourceLostError(
            f"it opens but sends nothing within {FIRST_CHUNK_WITHIN_S:g} s",
            source=config.name,
            next_step="Check that the sensor is switched on and worn",
        ) from error
    finally:
        await source.close()
    return info, n


def check_stream(config: StreamConfig) -> Iterator[Finding]:
    """Open a configured stream for a moment and hold it against its bundle.

    Args:
        config: the stream.

    Yields:
        Findings on the source, the fit to the model, and the face detector of an emotion stream.
    """
    subject = f"stream {config.name}"
    try:
        bundle = load_bundle(config.bundle)
        info, n = asyncio.run(_open_once(config, bundle))
        what = "SIMULATED " if info.simulated else ""
        yield Finding(
            subject, True, f"{what}{info.kind} {info.rate_hz:g} Hz from {info.device}, {n} samples"
        )
        window = fit_stream(bundle.manifest, info)
        yield Finding(
            f"{subject}: fits {bundle.manifest.name}",
            True,
            f"window {window.length_samples} samples, hop {window.hop_samples}",
        )
        if bundle.manifest.task == "emotion":
            found = _check_detector(config.face_detector)
            yield Finding(f"{subject}: face detector", True, found)
    except EdgeAppError as error:
        yield _failure(subject, error)


def _check_detector(path: Path | None) -> str:
    if path is None:
        HaarDetector()
        return "Haar cascade of OpenCV"
    YuNetDetector(path)
    return f"YuNet, {path.name}"


def check_device(path: Path) -> Iterator[Finding]:
    """Check everything that a device configuration names.

    Args:
        path: the YAML file.

    Yields:
        Findings in the order of the road; after a configuration that does not load, nothing more.
    """
    try:
        config: DeviceConfig = load_config(path)
    except EdgeAppError as error:
        yield _failure("configuration", error)
        return
    yield Finding("configuration", True, f"{path.name}: {len(config.streams)} stream(s)")
    for bundle in sorted({stream.bundle for stream in config.streams}):
        yield from check_bundle(bundle)
    for stream in config.streams:
        yield from check_stream(stream)
    for sink in config.sinks:
        if isinstance(sink, JsonlConfig):
            try:
                make_writable_dir(sink.directory)
                yield Finding("results", True, f"{sink.directory} can be written to")
            except EdgeAppError as error:
                yield _failure("results", error)
