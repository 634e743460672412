"""SIMULATED windows of a walking foot, one virtual foot a person of the GSTRIDE register."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_app.contracts import Float32Array
from edge_app.simulation.foot_imu import simulate_walk
from edge_app.simulation.gait_parameters import GaitParameters, load_gait_rows
from trainer.datasets.gait_windows import RATE_HZ, windows_of
from trainer.datasets.gstride import LABELS, Person

EXAMPLE_WALK_S = 20.0


def gait_parameters(person: Person) -> GaitParameters:
    """Return a register row in the simulator's terms."""
    gait = person.gait
    return GaitParameters(
        stride_time_s=gait.stride_time_s.mean,
        stride_time_sd_s=gait.stride_time_s.std,
        load_fraction=gait.load_percent.mean / 100.0,
        foot_flat_fraction=gait.foot_flat_percent.mean / 100.0,
        push_fraction=gait.push_percent.mean / 100.0,
        swing_fraction=gait.swing_percent.mean / 100.0,
        toe_off_angle_deg=gait.toe_off_angle_deg.mean,
        heel_strike_angle_deg=gait.heel_strike_angle_deg.mean,
        stride_length_m=gait.stride_length_m.mean,
        stride_length_sd_m=gait.stride_length_m.std,
        clearance_m=gait.clearance_m.mean,
        frailty=person.frailty,
    )


def walking_windows(person: Person, *, duration_s: float, seed: int) -> Float32Array:
    """Simulate one person and return the windows that the bedside would classify.

    Args:
        person: the register row.
        duration_s: length of the simulated recording.
        seed: start of the simulation; the person's own number is added.

    Returns:
        ``(n, 6, 200)`` float32 m/s^2 and rad/s: windows that lie in walking and pass the gate.
    """
    own_seed = int(np.random.SeedSequence((seed, int(person.person[1:]))).generate_state(1)[0])
    samples, walking = simulate_walk(
        gait_parameters(person), duration_s=duration_s, rate_hz=RATE_HZ, seed=own_seed
    )
    return windows_of(samples, rate_hz=RATE_HZ, walking=walking)


def example_windows(n: int) -> Float32Array:
    """Return ``(n, 6, 200)`` simulated windows, each of another row that the package ships."""
    rows = load_gait_rows()
    found = []
    for i in range(n):
        samples, walking = simulate_walk(
            rows[i % len(rows)], duration_s=EXAMPLE_WALK_S, rate_hz=RATE_HZ, seed=i
        )
        found.append(windows_of(samples, rate_hz=RATE_HZ, walking=walking)[0])
    return np.stack(found)


def split_people(
    people: Sequence[Person], validation_share: float, seed: int
) -> tuple[tuple[Person, ...], tuple[Person, ...]]:
    """Return the people learnt from and those held out, each class split by the same share."""
    generator = np.random.default_rng(seed)
    held: set[str] = set()
    for label in LABELS:
        names = sorted(person.person for person in people if person.frailty == label)
        n_held = held_out(len(names), validation_share)
        held.update(generator.permutation(names)[:n_held].tolist())
    return (
        tuple(person for person in people if person.person not in held),
        tuple(person for person in people if person.person in held),
    )


def held_out(n_people: int, validation_share: float) -> int:
    """Return how many of a class's people are held out."""
    return round(n_people * validation_share)
