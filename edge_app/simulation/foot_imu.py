"""A simulated foot-worn IMU that stands, walks, turns, and walks on, for as long as it is read.

Stride times and lengths follow a first-order autoregression with the mean and spread of one row of
the GSTRIDE register (CC BY 4.0, doi 10.5281/zenodo.8003441; Garcia-Villamil et al., Scientific
Data 2023, doi 10.1038/s41597-023-02428-0); phases, angles and clearance are that row's. What does
not come from the row (mounting, bias, noise, bout lengths) is drawn independently of it, or it
would become the label. Axes as in the recordings of the IPOL set (source in README): sensor on the
instep, x back and up the shin, y to the right, z up; the swing turns about y, toe up positive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from edge_app.contracts import Float32Array, Float64Array
from edge_app.simulation.foot_motion import GRAVITY_MPS2, Strides, foot_motion
from edge_app.simulation.gait_parameters import GaitParameters

__all__ = ["Activity", "Bout", "GaitParameters", "simulate_bouts", "simulate_walk"]

Activity = Literal["standing", "walking", "turning"]
COURSE: tuple[Activity, ...] = ("standing", "walking", "turning", "walking", "turning")
STANDING_S, WALKING_S, TURN_STRIDES = (4.0, 10.0), (25.0, 50.0), (3, 5)
PERSISTENCE = 0.4
"""Autoregression coefficient from stride to stride; 0.3 to 0.5 is plausible, a choice."""
SPREAD_LIMIT_SD = 2.5
SHORTEST_PHASE = 0.03
ANGLE_SPREAD = 0.1
CLEARANCE_LIMIT_M = 0.35
"""The register reaches 0.66 m, which is drift of its method: no foot is lifted that high."""
INSTEP_TILT_DEG = (30.0, 40.0)
MOUNTING_LIMIT_DEG = 20.0
ACC_NOISE_MPS2, GYR_NOISE_RADPS = 0.03, 0.006
ACC_BIAS_SD_MPS2, GYR_BIAS_SD_RADPS = 0.03, 0.005
ACC_RANGE_MPS2 = 16 * 9.80665
GYR_RANGE_RADPS = float(np.radians(2000.0))
COUNTS = 32768
IMPACT_HZ, IMPACT_DECAY_S = 18.0, 0.025
IMPACT_PER_SPEED_MPS2 = 45.0
"""Peak of the heel-strike transient for a stride speed of 1 m/s; the recordings show 40 to 80."""
IMPACT_SPREAD = 0.3
IMPACT_RADPS_PER_MPS2 = 0.15


@dataclass(frozen=True, slots=True)
class Bout:
    """Samples of one activity, following those of the bout before without a gap.

    Args:
        activity: what the foot does.
        samples: (n, 6) float32, acc_x acc_y acc_z m/s^2, gyr_x gyr_y gyr_z rad/s, sensor frame.
    """

    activity: Activity
    samples: Float32Array


def simulate_bouts(parameters: GaitParameters, *, rate_hz: float, seed: int) -> Iterator[Bout]:
    """Yield bouts without end: stand, walk, turn, walk back, turn, stand again.

    Args:
        parameters: who walks.
        rate_hz: samples a second.
        seed: the same seed gives the same samples.

    Yields:
        Bouts of a few seconds to a minute each; memory does not grow.
    """
    rng = np.random.default_rng(seed)
    gait = _Gait(parameters, rng)
    sensor = _Sensor.drawn(rng)
    start_s, first = 0.0, 0
    while True:
        for activity in COURSE:
            if activity == "standing":
                end_s = start_s + rng.uniform(*STANDING_S)
                last = int(np.ceil(end_s * rate_hz))
                still = np.zeros((last - first, 6))
                still[:, 2] = GRAVITY_MPS2
                clean = still
            else:
                strides = gait.strides(activity, start_s)
                end_s = float(strides.end_s[-1])
                last = int(np.ceil(end_s * rate_hz))
                clean = _foot_frame(strides, np.arange(first, last) / rate_hz, gait.impact_turn)
            yield Bout(activity, sensor.read(clean, rng))
            start_s, first = end_s, last


def simulate_walk(
    parameters: GaitParameters, *, duration_s: float, rate_hz: float, seed: int
) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    """Return a recording of given length.

    Args:
        parameters: who walks.
        duration_s: length; standing and turning are part of it.
        rate_hz: samples a second.
        seed: the same seed gives the same samples.

    Returns:
        (n, 6) float32 as in ``Bout``, and (n,) True where the person walks straight.
    """
    wanted = round(duration_s * rate_hz)
    parts: list[Float32Array] = []
    masks: list[npt.NDArray[np.bool_]] = []
    have = 0
    for bout in simulate_bouts(parameters, rate_hz=rate_hz, seed=seed):
        parts.append(bout.samples)
        masks.append(np.full(len(bout.samples), bout.activity == "walking"))
        have += len(bout.samples)
        if have >= wanted:
            break
    return np.concatenate(parts)[:wanted], np.concatenate(masks)[:wanted]


class _Gait:
    """Draws the strides of one person."""

    def __init__(self, parameters: GaitParameters, rng: np.random.Generator) -> None:
        self._parameters = parameters
        self._rng = rng
        self._time_state, self._length_state = rng.standard_normal(2)
        self._roll_rad = rng.uniform(-0.35, 0.35)
        self.impact_turn = rng.uniform(-1.0, 1.0, 3)
        phases = np.maximum(parameters.phase_fractions, SHORTEST_PHASE)
        self._phases = phases / phases.sum()

    def strides(self, activity: Activity, start_s: float) -> Strides:
        """Return strides of a straight walk or of half a turn."""
        p, rng = self._parameters, self._rng
        if activity == "walking":
            n = max(3, round(rng.uniform(*WALKING_S) / p.stride_time_s))
            turn, shorter = np.zeros(n), 1.0
        else:
            n = int(rng.integers(*TURN_STRIDES, endpoint=True))
            turn, shorter = np.full(n, rng.choice((-1.0, 1.0)) * np.pi / n), 0.4
        times, self._time_state = self._walk_on(
            n, self._time_state, p.stride_time_s, p.stride_time_sd_s
        )
        lengths, self._length_state = self._walk_on(
            n, self._length_state, p.stride_length_m, p.stride_length_sd_m
        )
        flat, push, swing, load = times * self._phases[:, None]
        angles = 1.0 + ANGLE_SPREAD * np.clip(rng.standard_normal((2, n)), -2.5, 2.5)
        return Strides(
            start_s=start_s + np.concatenate([[0.0], np.cumsum(times)[:-1]]),
            foot_flat_s=flat,
            push_s=push,
            swing_s=swing,
            load_s=load,
            toe_off_rad=np.radians(p.toe_off_angle_deg) * angles[0] * shorter**0.5,
            heel_strike_rad=np.radians(p.heel_strike_angle_deg) * angles[1] * shorter,
            length_m=lengths * shorter,
            clearance_m=np.full(n, min(p.clearance_m, CLEARANCE_LIMIT_M)),
            turn_rad=turn,
            impact=np.exp(IMPACT_SPREAD * rng.standard_normal(n)),
            roll_rad=self._roll_rad + 0.05 * rng.standard_normal(n),
        )

    def _walk_on(
        self, n: int, state: float, mean: float, spread: float
    ) -> tuple[Float64Array, float]:
        """Return n values of an autoregression of given mean and spread, and its new state."""
        shocks = self._rng.standard_normal(n) * np.sqrt(1.0 - PERSISTENCE**2)
        values = np.empty(n)
        for i, shock in enumerate(shocks):
            state = PERSISTENCE * state + shock
            values[i] = state
        limit = min(SPREAD_LIMIT_SD * spread, 0.6 * mean)
        return mean + np.clip(values * spread, -limit, limit), float(state)


def _foot_frame(strides: Strides, times_s: Float64Array, impact_turn: Float64Array) -> Float64Array:
    """Return (n, 6) specific force and angular rate in foot axes (forward, left, up)."""
    motion = foot_motion(strides, times_s)
    force = motion.acceleration_mps2 + np.array([0.0, 0.0, GRAVITY_MPS2])
    seen = np.einsum("nji,nj->ni", motion.rotation, force)
    strike = _impact(strides, times_s, motion.stride)[:, None]
    seen += strike * np.array([-0.6, 0.2, 0.8])
    return np.hstack([seen, motion.rate_radps + strike * IMPACT_RADPS_PER_MPS2 * impact_turn])


def _impact(strides: Strides, times_s: Float64Array, index: npt.NDArray[np.int64]) -> Float64Array:
    """Return the heel-strike transient, m/s^2: a damped swing that is over when load ends.

    It is the slope of a speed that ends where it began: a transient that left speed behind would
    lengthen every stride for whoever integrates it.
    """
    load_s = strides.load_s[index]
    since_s = np.maximum(times_s - strides.heel_strike_s[index], 0.0)
    left = np.clip(1.0 - since_s / load_s, 0.0, 1.0)
    turning = 2.0 * np.pi * IMPACT_HZ
    fading = np.exp(-since_s / IMPACT_DECAY_S)
    sin, cos = np.sin(turning * since_s), np.cos(turning * since_s)
    # d/dt of fading * sin^2 * left^2, over its own frequency
    slope = fading * (
        (2.0 * turning * sin * cos - sin**2 / IMPACT_DECAY_S) * left**2
        - 2.0 * sin**2 * left / load_s
    )
    speed = strides.length_m / (strides.end_s - strides.start_s)
    return np.asarray(IMPACT_PER_SPEED_MPS2 * (speed * strides.impact)[index] * slope / turning)


@dataclass(frozen=True, slots=True)
class _Sensor:
    """One simulated device on one shoe: mounting, bias, noise, range and resolution."""

    from_foot: Float64Array
    acc_bias_mps2: Float64Array
    gyr_bias_radps: Float64Array

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> _Sensor:
        """Return a sensor mounted and biased at random."""
        # Back, right, up, then tilted so that x leans up the shin.
        nominal = Rotation.from_matrix([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
        tilt = Rotation.from_euler("y", rng.uniform(*INSTEP_TILT_DEG), degrees=True)
        axis = rng.standard_normal(3)
        angle = np.radians(rng.uniform(0.0, MOUNTING_LIMIT_DEG))
        skew = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle)
        return cls(
            from_foot=(skew * tilt * nominal).as_matrix(),
            acc_bias_mps2=rng.standard_normal(3) * ACC_BIAS_SD_MPS2,
            gyr_bias_radps=rng.standard_normal(3) * GYR_BIAS_SD_RADPS,
        )

    def read(self, clean: Float64Array, rng: np.random.Generator) -> Float32Array:
        """Return what the device delivers for (n, 6) in foot axes."""
        noise = rng.standard_normal(clean.shape)
        acc = clean[:, :3] @ self.from_foot.T + self.acc_bias_mps2 + noise[:, :3] * ACC_NOISE_MPS2
        gyr = clean[:, 3:] @ self.from_foot.T + self.gyr_bias_radps + noise[:, 3:] * GYR_NOISE_RADPS
        return np.hstack(
            [_quantised(acc, ACC_RANGE_MPS2), _quantised(gyr, GYR_RANGE_RADPS)]
        ).astype(np.float32)


def _quantised(values: Float64Array, limit: float) -> Float64Array:
    """Return values as 16-bit counts of a range give them, clipped at its ends."""
    step = limit / COUNTS
    return np.asarray(np.clip(np.rint(values / step), -COUNTS, COUNTS - 1) * step)
