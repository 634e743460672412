"""Each task's story on tiny bundles whose answers can be foretold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_app.contracts import AbstainReason, Chunk, Prediction, StreamInfo
from edge_app.errors import ConfigError, ManifestError
from edge_app.inference.bundle import load_bundle
from edge_app.tasks.frailty_windows import FrailtyWindowsTask
from edge_app.tasks.protocol import build_windower, fit_stream
from edge_app.tasks.sleep import SleepTask
from tests.bundles import IMU, write_bundle

EEG = StreamInfo("eeg", "eeg", 100.0, ("C3",), ("uV",), "test", False)
FOOT = StreamInfo("foot", "imu", 100.0, IMU, ("m/s^2",) * 3 + ("rad/s",) * 3, "test", False)
CAMERA = StreamInfo("face", "video", 10.0, ("rgb",), ("rgb8",), "test", True)


def epoch(level_uv: float) -> np.ndarray:
    """3000 samples around a mean, far from flat and from the rails."""
    ripple = np.sin(np.arange(3000) * 0.37) * 20
    return (level_uv + ripple - ripple.mean()).astype(np.float32)[:, None]


def run_sleep(tmp_path: Path, signal: np.ndarray, info: StreamInfo = EEG) -> list[Prediction]:
    bundle = load_bundle(write_bundle(tmp_path, "sleep"))
    task = SleepTask(bundle, info)
    windower = build_windower(fit_stream(bundle.manifest, info), info)
    times_s = np.arange(len(signal)) / info.rate_hz
    said = []
    for window in windower.push(Chunk(times_s, signal)):
        said += task.push(window)
    return said + task.finish()


def test_an_epoch_is_answered_at_once_then_final_after_two_more(tmp_path: Path) -> None:
    said = run_sleep(tmp_path, np.concatenate([epoch(k) for k in (0, 2, 3, 4)]))
    story = [(p.start_s, p.label, p.final, p.revision, p.time_s) for p in said]
    assert story == [
        (0, "W", False, 0, 30),
        (30, "N2", False, 0, 60),
        (0, "W", True, 1, 90),
        (60, "N3", False, 0, 90),
        (30, "N2", True, 1, 120),
        (90, "R", False, 0, 120),
        (60, "N3", True, 1, 120),
        (90, "R", True, 1, 120),
    ]
    assert all(p.end_s - p.start_s == 30 and p.latency_s is None for p in said)


def test_a_changed_mind_is_a_revision(tmp_path: Path) -> None:
    # Mean 0.52: N1 is nearer (0.52 against 0.48) by 8 * 0.04 = 0.32 in logits, and W gains the
    # share of the five epochs that are present: 0.2 alone, 0.4 with one more, 0.6 with two.
    said = [p for p in run_sleep(tmp_path, np.tile(epoch(0.52), (3, 1))) if p.start_s == 0]
    # mean of the logit advantage of W: -0.12, then (-0.12 + 0.08) / 2, then (-0.12 + .08 + .28) / 3
    assert [(p.label, p.revision, p.final) for p in said] == [("N1", 0, False), ("W", 1, True)]
    odds = np.log(dict(said[-1].probabilities)["W"] / dict(said[-1].probabilities)["N1"])
    assert odds == pytest.approx(0.08, abs=1e-3)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda x: np.zeros_like(x), AbstainReason.FLAT),
        (lambda x: np.clip(x * 100, -50, 50), AbstainReason.CLIPPED),
        (lambda x: x + 2000 * (np.arange(3000)[:, None] % 400 == 7), AbstainReason.ARTEFACT),
        (lambda x: np.where(np.arange(3000)[:, None] < 700, np.nan, x), AbstainReason.NOT_FINITE),
    ],
)
def test_a_bad_epoch_is_unknown_with_its_reason_and_hides_nothing_else(
    tmp_path: Path, spoil: Callable[[np.ndarray], np.ndarray], reason: AbstainReason
) -> None:
    signal = np.concatenate([epoch(2), spoil(epoch(2)).astype(np.float32), epoch(2)])
    said = run_sleep(tmp_path, signal)
    bad = [p for p in said if p.start_s == 30]
    assert [(p.label, p.abstained, p.final, p.probabilities) for p in bad] == [
        (None, reason, True, ())
    ]
    assert {p.label for p in said if p.start_s != 30} == {"N2"}


def test_a_gap_of_a_fifth_is_bridged_and_more_is_unknown(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path, "sleep"))
    for lost, label in ((600, "N2"), (601, None)):
        task = SleepTask(bundle, EEG)
        windower = build_windower(fit_stream(bundle.manifest, EEG), EEG)
        kept = np.r_[0:1000, 1000 + lost : 3000]
        (window,) = windower.push(Chunk(kept / 100.0, epoch(2)[kept]))
        (said,) = task.push(window)
        assert said.label == label
        assert said.quality == pytest.approx(1 - lost / 3000)


def test_a_short_artefact_is_bridged_and_lowers_the_quality(tmp_path: Path) -> None:
    signal = 2 + (epoch(0) / 10)  # so small a ripple that a bridged second hardly moves the mean
    signal[1510:1520] += 1e6
    (said, _) = run_sleep(tmp_path, signal)
    assert said.label == "N2"
    assert said.quality == pytest.approx(29 / 30)


def test_samples_at_half_the_nominal_rate_get_no_stage(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path, "sleep"))
    jittery = dataclasses.replace(EEG, jitter_s=0.02)
    windower = build_windower(fit_stream(bundle.manifest, jittery), jittery)
    (window,) = windower.push(Chunk(np.arange(3000) / 50.0, epoch(2)))
    (said,) = SleepTask(bundle, jittery).push(window)
    assert (said.label, said.abstained) == (None, AbstainReason.RATE)


def test_a_stream_opened_anew_brings_its_own_origin(tmp_path: Path) -> None:
    """A simulator in place of a lost headset must not be taken for the patient."""
    bundle = load_bundle(write_bundle(tmp_path, "frailty"))
    task = FrailtyWindowsTask(bundle, FOOT)
    windower = build_windower(fit_stream(bundle.manifest, FOOT), FOOT)
    windows = windower.push(Chunk(np.arange(400) / 100.0, walk(400)))
    assert not task.push(windows[0])[0].simulated
    task.adopt(dataclasses.replace(FOOT, simulated=True))
    assert task.push(windows[1])[0].simulated
    assert task.push(windows[1])[0].probabilities  # the evidence stayed


@pytest.mark.parametrize("rate_hz", [50.0, 256.0])
def test_any_rate_is_brought_to_the_models(tmp_path: Path, rate_hz: float) -> None:
    info = dataclasses.replace(EEG, rate_hz=rate_hz)
    n = int(30 * rate_hz)
    signal = np.tile(3 + 20 * np.sin(np.arange(n) * 2 * np.pi * 3.1 / rate_hz), 3)
    said = run_sleep(tmp_path, signal.astype(np.float32)[:, None], info)
    assert {p.label for p in said} == {"N3"}


def test_a_lookahead_as_long_as_the_sequence_is_refused(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path, "sleep", lookahead_windows=5))
    with pytest.raises(ManifestError, match="shorter than the sequence"):
        SleepTask(bundle, EEG)


def walk(n: int, *, still: bool = False) -> np.ndarray:
    """A rhythm of 1 Hz on the gyroscope, mean of all 1200 values of a window 3.2."""
    samples = np.full((n, 6), 1.0, np.float32)
    samples[:, 2] = 9.81
    swing = 0.01 if still else 3.0
    samples[:, 4] = swing * (1 + np.sin(2 * np.pi * np.arange(n) / 100))
    return samples


def run_frailty(tmp_path: Path, signal: np.ndarray, **rolling: object) -> list[Prediction]:
    bundle = load_bundle(write_bundle(tmp_path, "frailty", **rolling))
    task = FrailtyWindowsTask(bundle, FOOT)
    windower = build_windower(fit_stream(bundle.manifest, FOOT), FOOT)
    chunk = Chunk(np.arange(len(signal)) / 100.0, signal)
    return [p for w in windower.push(chunk) for p in task.push(w)]


def test_too_little_walking_is_no_answer(tmp_path: Path) -> None:
    said = run_frailty(tmp_path, walk(600), min_evidence_s=3.0)
    # windows end at 2.0, 2.5 ... s; each brings half a second of new signal: the sixth has 3 s
    assert [p.label for p in said] == [None] * 5 + ["frail"] * 4
    assert {p.abstained for p in said[:5]} == {AbstainReason.INSUFFICIENT_WALKING}
    assert all(p.probabilities for p in said)


def test_a_standing_foot_is_not_walking_and_leaves_the_evidence_alone(tmp_path: Path) -> None:
    moving = walk(400)
    standing = walk(400, still=True)
    standing[:, [0, 1, 3, 5]] = 0
    said = run_frailty(tmp_path, np.concatenate([moving, standing, moving]))
    assert [p.abstained for p in said].count(AbstainReason.NOT_WALKING) >= 5
    assert said[-1].label == said[0].label == "frail"
    assert dict(said[-1].probabilities) == pytest.approx(dict(said[0].probabilities), abs=0.05)


@pytest.mark.parametrize(
    ("info", "task"),
    [
        (EEG, "frailty"),
        (FOOT, "sleep"),
        (CAMERA, "sleep"),
        (dataclasses.replace(EEG, channels=("a", "b"), units=("uV", "uV")), "sleep"),
        (dataclasses.replace(FOOT, channels=tuple(reversed(IMU))), "frailty"),
        (dataclasses.replace(FOOT, rate_hz=62.5), "frailty"),
        (dataclasses.replace(FOOT, rate_hz=20.0), "frailty"),
        (dataclasses.replace(FOOT, rate_hz=20.0), "strides"),
        (dataclasses.replace(EEG, rate_hz=1.0), "sleep"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused(tmp_path: Path, info: StreamInfo, task: str) -> None:
    bundle = load_bundle(write_bundle(tmp_path, task))
    with pytest.raises(ConfigError):
        fit_stream(bundle.manifest, info)


@pytest.mark.parametrize(("rate_hz", "length", "hop"), [(104, 208, 52), (128, 256, 64)])
def test_the_window_keeps_its_duration_at_another_rate(
    tmp_path: Path, rate_hz: float, length: int, hop: int
) -> None:
    bundle = load_bundle(write_bundle(tmp_path, "frailty"))
    window = fit_stream(bundle.manifest, dataclasses.replace(FOOT, rate_hz=rate_hz))
    assert (window.length_samples, window.hop_samples) == (length, hop)


def test_a_bundle_conditioned_for_another_task_is_refused(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path, "frailty"))
    with pytest.raises(ManifestError, match="cannot serve"):
        SleepTask(bundle, EEG)
