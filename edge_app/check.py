"""Check a device: machine, configuration, bundles, golden parity, sources, sinks; what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_app.build import open_person_file
from edge_app.build_source import build_source
from edge_app.clock import MonotonicClock
from edge_app.config import JsonlConfig, LslNetworkConfig, StreamConfig, load_config
from edge_app.config_sources import LslConfig
from edge_app.contracts import Chunk, StreamInfo
from edge_app.counted import counted
from edge_app.doctor.diagnosis import Diagnosis
from edge_app.doctor.examine import examine
from edge_app.errors import EdgeAppError, SourceError, SourceLostError
from edge_app.face_detector_file import choose_detector
from edge_app.inference.backends import load_on_best_backend
from edge_app.inference.bundle import Bundle, is_bundle, replay_golden
from edge_app.signal_check import report_signal
from edge_app.sinks.files import prove_writable
from edge_app.sources.liblsl import liblsl_facts
from edge_app.tasks.protocol import fit_stream

FIRST_CHUNK_WITHIN_S = 5.0
LISTEN_S = 2.0
SHOWN_FIGURES = {
    "jitter_rms_s": ("raw jitter {:.1f} ms", 1000.0),
    "battery_percent": ("battery {:.0f} %", 1.0),
    "rssi_dbm": ("radio {:.0f} dBm", 1.0),
}
"""What sources measure themselves and a person wants to see here, with a factor to its unit."""


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


def _load(path: Path) -> tuple[Bundle | None, Finding]:
    subject = f"bundle {path.name}"
    try:
        bundle = load_on_best_backend(path)
    except EdgeAppError as error:
        return None, _failure(subject, error)
    return bundle, Finding(subject, True, f"{bundle.model_id}, all hashes right")


def check_bundle(path: Path) -> Iterator[Finding]:
    """Verify one bundle: manifest, hashes, graphs, and parity with its golden outputs.

    Args:
        path: the bundle's folder.

    Yields:
        One finding for the files and one for each golden output.
    """
    bundle, finding = _load(path)
    yield finding
    if bundle is not None:
        yield from _check_golden(path, bundle)


def _check_golden(path: Path, bundle: Bundle) -> Iterator[Finding]:
    try:
        for parity in replay_golden(bundle):
            yield Finding(
                f"bundle {path.name}: golden {parity.role}/{parity.output}",
                parity.passed,
                f"largest error {parity.max_abs_error:.1e} over {counted(parity.cases, 'case')}, "
                f"allowed {parity.tolerance:.0e} ({bundle.runners[parity.role].backend})",
                "" if parity.passed else "Do not use this bundle here; export it again",
            )
    except EdgeAppError as error:
        yield _failure(f"bundle {path.name}: golden", error)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a source delivered in a moment."""

    info: StreamInfo
    chunks: list[Chunk]
    assumptions: tuple[str, ...]
    trouble: str
    figures: tuple[tuple[str, float], ...]


async def _listen(config: StreamConfig, bundle: Bundle, network: LslNetworkConfig) -> _Heard:
    """Open a source, take what it sends for two seconds from its first sample, close it."""
    source = build_source(config, bundle.manifest.task, MonotonicClock(), network)
    chunks: list[Chunk] = []

    async def take() -> None:
        end_s = float("inf")
        async for chunk in source:
            if chunk.times_s.shape[0]:
                chunks.append(chunk)
                end_s = min(end_s, time.monotonic() + LISTEN_S)
            if time.monotonic() >= end_s:
                return

    try:
        info = await source.open()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(take(), FIRST_CHUNK_WITHIN_S + LISTEN_S)
        if not chunks:
            raise SourceLostError(
                f"it opens but sends nothing within {FIRST_CHUNK_WITHIN_S:g} s",
                source=config.name,
                next_step="Check that the sensor is switched on and worn",
            )
        return _Heard(info, chunks, source.assumptions, source.trouble, source.figures)
    finally:
        await source.close()


def check_stream(
    config: StreamConfig, bundle: Bundle, network: LslNetworkConfig
) -> Iterator[Finding]:
    """Open a configured stream for two seconds and hold it against its bundle.

    Args:
        config: the stream.
        bundle: its bundle, loaded.
        network: which LSL outlets this device hears.

    Yields:
        Findings on the source, its signal, the fit to the model, the face detector of an emotion
        stream, and the file that keeps the wearer, if there is to be one.
    """
    subject = f"stream {config.name}"
    try:
        heard = asyncio.run(_listen(config, bundle, network))
    except EdgeAppError as error:
        yield _failure(subject, error)
    else:
        info = heard.info
        what = "SIMULATED " if info.simulated else ""
        yield Finding(subject, True, f"{what}{info.kind} {info.rate_hz:g} Hz from {info.device}")
        for assumption in heard.assumptions:
            yield Finding(f"{subject}: assumed", True, assumption)
        yield _check_signal(f"{subject}: signal", heard)
        yield _check_fit(f"{subject}: fits {bundle.manifest.name}", bundle, info)
    if isinstance(config.source, LslConfig):
        yield from _tell_liblsl(f"{subject}: liblsl")
    if bundle.manifest.task == "emotion":
        yield check_detector(f"{subject}: face detector", config.face_detector)
    if config.person is not None or config.baseline_s is not None:
        yield _check_person(f"{subject}: person", config, bundle)


def _check_signal(subject: str, heard: _Heard) -> Finding:
    report = report_signal(heard.info, heard.chunks)
    shown = [
        SHOWN_FIGURES[name][0].format(SHOWN_FIGURES[name][1] * value)
        for name, value in heard.figures
        if name in SHOWN_FIGURES
    ]
    detail = ", ".join([str(report), *shown]) + (f"; {heard.trouble}" if heard.trouble else "")
    if heard.trouble and not report.advice:
        return Finding(subject, False, detail, "See to that, then check again")
    return Finding(subject, not report.advice, detail, report.advice)


def _tell_liblsl(subject: str) -> Iterator[Finding]:
    with suppress(SourceError):  # without one, opening the stream has said so
        facts = liblsl_facts()
        yield Finding(subject, True, f"{facts.version} of {facts.origin}, {facts.path}")


def _check_fit(subject: str, bundle: Bundle, info: StreamInfo) -> Finding:
    try:
        window = fit_stream(bundle.manifest, info)
    except EdgeAppError as error:
        return _failure(subject, error)
    told = f"window {counted(window.length_samples, 'sample')}, hop {window.hop_samples}"
    return Finding(subject, True, told)


def check_detector(subject: str, path: Path | None) -> Finding:
    """Open the face detector that a stream would use, and tell which it is.

    Args:
        subject: of the finding.
        path: the configured file, or None.
    """
    try:
        choice = choose_detector(path)
        choice.open()
    except EdgeAppError as error:
        return _failure(subject, error)
    return Finding(subject, True, choice.detail)


def _check_person(subject: str, config: StreamConfig, bundle: Bundle) -> Finding:
    try:
        open_person_file(config, bundle)
    except EdgeAppError as error:
        return _failure(subject, error)
    kept = "nothing is kept" if config.person is None else f"{config.person.file} can be kept"
    begun = "" if config.baseline_s is None else f"resting baseline of {config.baseline_s:g} s; "
    return Finding(subject, True, begun + kept)


def _check_results(directory: Path) -> Finding:
    try:
        prove_writable(directory)
    except EdgeAppError as error:
        return _failure("results", error)
    return Finding("results", True, f"{directory} can be written to")


def check_all(
    path: Path | None,
) -> tuple[Iterator[Diagnosis] | None, Iterator[Finding] | None]:
    """Return what there is to check, nothing of it looked at yet.

    Args:
        path: a device YAML, a bundle's folder, or None.

    Returns:
        Of the machine, None for a bundle; of the configuration or bundle, None without one.

    Raises:
        ConfigError: no such file or bundle, or a configuration that does not load.
    """
    if path is None:
        return examine(), None
    if is_bundle(path):
        return None, check_bundle(path)
    sinks = load_config(path).sinks
    folders = [sink.directory for sink in sinks if isinstance(sink, JsonlConfig)]
    return examine(results=folders[0] if folders else Path()), check_device(path)


def check_device(path: Path) -> Iterator[Finding]:
    """Check everything that a device configuration names.

    Args:
        path: the YAML file.

    Yields:
        Findings in the order of the road; nothing on the streams of a bundle that is bad.

    Raises:
        ConfigError: the configuration does not load.
    """
    config = load_config(path)
    yield Finding("configuration", True, f"{path.name}: {counted(len(config.streams), 'stream')}")
    bundles: dict[Path, Bundle] = {}
    for folder in sorted({stream.bundle for stream in config.streams}):
        bundle, finding = _load(folder)
        yield finding
        if bundle is not None:
            bundles[folder] = bundle
            yield from _check_golden(folder, bundle)
    for stream in config.streams:
        if stream.bundle in bundles:
            yield from check_stream(stream, bundles[stream.bundle], config.lsl)
    for sink in config.sinks:
        if isinstance(sink, JsonlConfig):
            yield _check_results(sink.directory)
