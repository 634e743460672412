"""What crosses a boundary is checked, and errors tell what to do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge_app import errors
from edge_app.contracts import AbstainReason, Chunk, Prediction, StreamInfo
from edge_app.errors import ContractError, EdgeAppError

GOOD = StreamInfo("s", "imu", 100.0, ("acc_x", "gyr_x"), ("m/s^2", "rad/s"), "test", False)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"kind": "ecg"},
        {"rate_hz": 0.0},
        {"rate_hz": float("nan")},
        {"channels": ()},
        {"channels": ("acc_x", "acc_x")},
        {"units": ("m/s^2",)},
        {"units": ("g", "rad/s")},
        {"jitter_s": -1.0},
    ],
)
def test_a_wrong_stream_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ContractError):
        dataclasses.replace(GOOD, **change)


@pytest.mark.parametrize(
    ("times_s", "samples"),
    [
        (np.zeros(3), np.zeros((2, 1), np.float32)),
        (np.zeros(2, np.float32), np.zeros((2, 1), np.float32)),
        (np.zeros(2), np.zeros((2, 1), np.float64)),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros((2, 1)), np.zeros((2, 1), np.float32)),
        (np.zeros(1), np.zeros((1, 4, 4, 4), np.uint8)),
        (np.zeros(1), np.zeros((1, 4, 4, 3), np.float32)),
    ],
)
def test_a_wrong_chunk_is_refused(times_s: np.ndarray, samples: np.ndarray) -> None:
    with pytest.raises(ContractError):
        Chunk(times_s, samples)


def prediction(**change: object) -> Prediction:
    base: dict[str, object] = {
        "task": "sleep",
        "stream": "s",
        "time_s": 1.0,
        "start_s": 0.0,
        "end_s": 1.0,
        "label": "W",
        "probabilities": (("W", 0.75), ("R", 0.25)),
        "quality": 1.0,
        "abstained": None,
        "final": True,
        "revision": 0,
        "model": "m",
        "simulated": False,
    }
    return Prediction(**(base | change))  # type: ignore[arg-type]


def test_a_prediction_has_a_label_or_a_reason() -> None:
    assert prediction().confidence == 0.75
    unknown = prediction(label=None, abstained=AbstainReason.GAP, probabilities=())
    assert unknown.confidence is None
    for change in (
        {"label": None},
        {"abstained": AbstainReason.GAP},
        {"label": "N1"},
        {"probabilities": (("W", 0.7), ("R", 0.2))},
    ):
        with pytest.raises(ContractError):
            prediction(**change)


def test_contracts_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GOOD.rate_hz = 1.0  # type: ignore[misc]


def test_every_error_is_in_the_tree_and_in_the_drawing() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, EdgeAppError)
    }
    assert len(defined) == 13
    assert all(name in (errors.__doc__ or "") for name in defined)


def test_an_error_says_what_where_and_what_next() -> None:
    error = errors.SourceNotFoundError(
        "no such channel", source="a.edf", expected=["Fpz-Cz"], got="C9", next_step="Pick one"
    )
    assert str(error) == "a.edf: no such channel (expected ['Fpz-Cz'], got C9). Pick one"
    assert isinstance(error, errors.SourceError)
