"""Simulated sensors as sources: an EEG, a foot IMU, a face before a webcam, each with its truth."""

from __future__ import annotations

import numpy as np

from edge_app.clock import Clock
from edge_app.contracts import (
    IMU_CHANNELS,
    IMU_UNITS,
    UNIT_RGB8,
    UNIT_UV,
    VIDEO_CHANNELS,
    StreamInfo,
)
from edge_app.errors import ConfigError
from edge_app.simulation.face_video import FaceVideo
from edge_app.simulation.foot_imu import simulate_bouts
from edge_app.simulation.gait_parameters import FRAILTY_LABELS, GaitParameters, load_gait_rows
from edge_app.simulation.sleep_eeg import simulate_night
from edge_app.sources.simulated_source import (
    Blocks,
    Delivery,
    SimulatedFace,
    SimulatedSignal,
    SimulatedSource,
)

__all__ = ["SimulatedSource", "simulated_eeg", "simulated_face", "simulated_imu"]


def simulated_eeg(
    *,
    name: str,
    seed: int = 0,
    clock: Clock | None = None,
    paced: bool = True,
    rate_hz: float = 100.0,
    duration_s: float | None = None,
    chunk_samples: int | None = None,
) -> SimulatedSource:
    """Return a simulated sleeper's EEG channel.

    Args:
        name: of the stream.
        seed: another seed, another night.
        clock: of a paced source; ``MonotonicClock`` when None.
        paced: True to deliver samples when they are due, False as fast as they are read.
        rate_hz: samples a second.
        duration_s: where it ends; None: never.
        chunk_samples: samples a chunk; None: a tenth of a second paced, else a second.

    Returns:
        The source; its truth is the sleep stage.
    """
    info = StreamInfo(
        name, "eeg", rate_hz, ("Fpz-Cz",), (UNIT_UV,), "simulated EEG", simulated=True
    )

    def begin() -> Blocks:
        return ((e.samples, e.stage) for e in simulate_night(rate_hz=rate_hz, seed=seed))

    return SimulatedSignal(info, begin, Delivery(clock, paced, duration_s, chunk_samples))


def simulated_imu(
    *,
    name: str,
    seed: int = 0,
    clock: Clock | None = None,
    paced: bool = True,
    rate_hz: float = 100.0,
    duration_s: float | None = None,
    chunk_samples: int | None = None,
    frailty: str | None = None,
    parameters: GaitParameters | None = None,
) -> SimulatedSource:
    """Return a simulated walker's foot IMU.

    Args:
        name: of the stream.
        seed: another seed, another walk, and another walker unless one is named.
        clock: of a paced source; ``MonotonicClock`` when None.
        paced: True to deliver samples when they are due, False as fast as they are read.
        rate_hz: samples a second.
        duration_s: where it ends; None: never.
        chunk_samples: samples a chunk; None: a tenth of a second paced, else a second.
        frailty: walker's class; the seed chooses one of its rows. None: of all rows.
        parameters: the walker; None: chosen by the two above.

    Returns:
        The source; its truth is the walker's class, at all times.

    Raises:
        ConfigError: no such class.
    """
    walker = parameters or _walker(seed, frailty)
    info = StreamInfo(
        name, "imu", rate_hz, IMU_CHANNELS, IMU_UNITS, "simulated foot IMU", simulated=True
    )

    def begin() -> Blocks:
        bouts = simulate_bouts(walker, rate_hz=rate_hz, seed=seed)
        return ((bout.samples, walker.frailty) for bout in bouts)

    return SimulatedSignal(info, begin, Delivery(clock, paced, duration_s, chunk_samples))


def simulated_face(
    *,
    name: str,
    seed: int = 0,
    clock: Clock | None = None,
    paced: bool = True,
    rate_hz: float = 15.0,
    duration_s: float | None = None,
    chunk_samples: int | None = None,
) -> SimulatedSource:
    """Return a simulated face before a webcam.

    Args:
        name: of the stream.
        seed: another seed, another order of expressions.
        clock: of a paced source; ``MonotonicClock`` when None.
        paced: True to deliver samples when they are due, False as fast as they are read.
        rate_hz: frames a second.
        duration_s: where it ends; None: never.
        chunk_samples: frames a chunk; single ones when None or paced.

    Returns:
        The source; its truth is the expression shown.
    """
    info = StreamInfo(
        name, "video", rate_hz, VIDEO_CHANNELS, (UNIT_RGB8,), "simulated face", simulated=True
    )
    video = FaceVideo(seed=seed, rate_hz=rate_hz)
    return SimulatedFace(info, video, Delivery(clock, paced, duration_s, chunk_samples))


def _walker(seed: int, frailty: str | None) -> GaitParameters:
    if frailty is not None and frailty not in FRAILTY_LABELS:
        raise ConfigError(
            "no such class of walkers",
            expected=FRAILTY_LABELS,
            got=frailty,
            next_step="Take one of these, or none for any",
        )
    rows = [row for row in load_gait_rows() if frailty in (None, row.frailty)]
    return rows[int(np.random.default_rng(seed).integers(len(rows)))]
