"""Streaming staging on tiny models whose answers can be foretold: what is said, and when."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.contracts import AbstainReason, Chunk, Prediction, StreamInfo
from edge_app.errors import ManifestError
from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.tasks.protocol import build_windower, fit_stream
from edge_app.tasks.sleep import SleepTask
from edge_app.tasks.sleep_sequence import build_sequence
from tests.bundles import write_bundle

EEG = StreamInfo("eeg", "eeg", 100.0, ("C3",), ("uV",), "test", False)
KINDS = ("sleep", "sleep_stateful")
N = 3000
RIPPLE = (np.sin(np.arange(N) * 0.37) * 20).astype(np.float32)
RIPPLE -= RIPPLE.mean()


def night(levels: list[float | None]) -> np.ndarray:
    """Epochs around their means; None: no electrode."""
    parts = [np.zeros(N) if level is None else level + RIPPLE for level in levels]
    return np.concatenate(parts).astype(np.float32)[:, None]


def bundle_of(folder: Path, kind: str, **options: object) -> Bundle:
    return load_bundle(write_bundle(folder, kind, **options))


def stream(
    bundle: Bundle, signal: np.ndarray, info: StreamInfo = EEG, chunk: int | None = None
) -> list[Prediction]:
    """Everything that is said while the signal comes, without the end."""
    task = SleepTask(bundle, info)
    windower = build_windower(fit_stream(bundle.manifest, info), info)
    times_s = np.arange(len(signal)) / info.rate_hz
    said = []
    step = chunk or len(signal)
    for start in range(0, len(signal), step):
        part = slice(start, start + step)
        for window in windower.push(Chunk(times_s[part], signal[part])):
            said += task.push(window)
    return said


def probabilities(prediction: Prediction) -> np.ndarray:
    return np.array([p for _, p in prediction.probabilities])


def encodings(bundle: Bundle, levels: list[float | None]) -> list[np.ndarray | None]:
    run = bundle.runners["encoder"].run
    return [
        None if level is None else run({"eeg": night([level]).T[None]})["features"]
        for level in levels
    ]


def offline_stateful(bundle: Bundle, levels: list[float | None]) -> list[list[np.ndarray]]:
    """Per epoch what is known of it 0, 1, 2 epochs later, chained by hand."""
    state, missing = np.zeros((1, 3), np.float32), 0
    known: list[list[np.ndarray]] = [[] for _ in levels]
    for number, features in enumerate(encodings(bundle, levels)):
        missing = 0 if features is not None else missing + 1
        if missing > 360:
            state = np.zeros((1, 3), np.float32)
            continue
        fed = np.full((1, 1), np.nan, np.float32) if features is None else features
        outputs = bundle.runners["sequence"].run({"features": fed, "state": state})
        state = outputs["next_state"]
        for back, answer in enumerate([outputs["probabilities"][0], *outputs["revised"][0]]):
            if number >= back and levels[number - back] is not None:
                known[number - back].append(answer.astype(np.float64))
    return known


def offline_windowed(
    bundle: Bundle, levels: list[float | None]
) -> Callable[[int, int], np.ndarray]:
    """Geometric means over the windows of five that end in a good epoch; floor 1e-9."""
    features = encodings(bundle, levels)
    windows: dict[int, np.ndarray] = {}
    for last in range(len(levels)):
        fed, mask = np.zeros((1, 5, 1), np.float32), np.zeros((1, 5), np.float32)
        for position, number in enumerate(range(last - 4, last + 1)):
            if number >= 0 and features[number] is not None:
                fed[0, position], mask[0, position] = features[number][0], 1.0
        if features[last] is not None:
            outputs = bundle.runners["sequence"].run({"features": fed, "mask": mask})
            windows[last] = np.log(np.maximum(outputs["probabilities"][0].astype(float), 1e-9))

    def known(number: int, later: int) -> np.ndarray:
        ends = [last for last in range(number, number + later + 1) if last in windows]
        mean = np.exp(np.mean([windows[last][4 - (last - number)] for last in ends], axis=0))
        return mean / mean.sum()

    return known


def test_the_stateful_model_answers_revises_and_settles(tmp_path: Path) -> None:
    # Epoch 0 (mean 0.52): N1 leads W by 8 * 0.04 = 0.32. Epoch 1 (mean 2) adds 2 / 4 + 0.1 to W:
    # a revision. Epoch 2 (mean 0) adds 0 + 0.2: N1 again, now final.
    said = stream(bundle_of(tmp_path, "sleep_stateful"), night([0.52, 2, 0]))
    story = [(p.start_s, p.label, p.final, p.revision, p.time_s) for p in said]
    assert story == [
        (0, "N1", False, 0, 30),
        (0, "W", False, 1, 60),
        (30, "N2", False, 0, 60),
        (0, "N1", True, 2, 90),
        (60, "W", False, 0, 90),
    ]
    lead = [np.log(probabilities(p)[0] / probabilities(p)[1]) for p in said if p.start_s == 0]
    assert lead == pytest.approx([-0.32, 0.28, -0.12], abs=1e-3)
    assert [dict(p.evidence)["epochs_seen"] for p in said] == [0, 1, 1, 2, 2]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Bundle]:
    """Both kinds; the windowed one also waiting for as long as its window lets it."""
    return {
        (kind, lookahead): bundle_of(
            tmp_path_factory.mktemp("bundle"), kind, lookahead_windows=lookahead
        )
        for kind, lookahead in (("sleep_stateful", 2), ("sleep", 2), ("sleep", 0), ("sleep", 4))
    }


EPOCHS = st.lists(
    st.one_of(st.none(), st.floats(-1.0, 5.0, allow_nan=False, width=32)), min_size=1, max_size=16
)


@pytest.mark.parametrize(
    ("kind", "lookahead"), [("sleep_stateful", 2), ("sleep", 2), ("sleep", 0), ("sleep", 4)]
)
@settings(max_examples=15, deadline=None)
@given(levels=EPOCHS)
def test_what_is_streamed_is_what_the_graphs_say_offline(
    bundles: dict[tuple[str, int], Bundle], kind: str, lookahead: int, levels: list[float | None]
) -> None:
    bundle = bundles[kind, lookahead]
    if kind == "sleep_stateful":
        chained = offline_stateful(bundle, levels)
        expected = lambda number, later: chained[number][later]  # noqa: E731
    else:
        expected = offline_windowed(bundle, levels)
    for prediction in stream(bundle, night(levels)):
        number = round(prediction.start_s / 30)
        later = round(prediction.time_s / 30) - 1 - number
        if levels[number] is None:
            assert (prediction.abstained, prediction.final) == (AbstainReason.FLAT, True)
            continue
        got = probabilities(prediction)
        np.testing.assert_allclose(got, expected(number, later), rtol=0, atol=1e-12)
        assert prediction.final == (later == lookahead)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_change_nothing(tmp_path: Path, kind: str) -> None:
    bundle = bundle_of(tmp_path, kind, estimate_every_s=5.0)
    signal = night([0.52, 2, None, 3, 0.4])
    whole = stream(bundle, signal)
    assert len(whole) > 5 + 4 * 5
    for chunk in (7, 333, 3001):
        assert stream(bundle, signal, chunk=chunk) == whole


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_or_another_future_changes_nothing_said_before(tmp_path: Path, kind: str) -> None:
    bundle = bundle_of(tmp_path, kind, estimate_every_s=5.0)
    rng = np.random.default_rng(4)
    signal = night(rng.uniform(0, 4, 12).tolist())
    whole = stream(bundle, signal)
    for cut in (3000, 10_123, 20_999):
        before = [p for p in whole if p.time_s <= cut / 100]
        assert before
        assert stream(bundle, signal[:cut]) == before
        noise = rng.normal(0, 50, (len(signal) - cut, 1)).astype(np.float32)
        other = stream(bundle, np.concatenate([signal[:cut], noise]))
        assert [p for p in other if p.time_s <= cut / 100] == before
        assert other != whole


@pytest.mark.parametrize("kind", KINDS)
def test_a_final_answer_never_changes_and_every_epoch_gets_one(tmp_path: Path, kind: str) -> None:
    bundle = bundle_of(tmp_path, kind, estimate_every_s=5.0)
    rng = np.random.default_rng(5)
    signal = night([None if rng.random() < 0.2 else rng.uniform(0, 4) for _ in range(20)])
    task, windower = SleepTask(bundle, EEG), build_windower(fit_stream(bundle.manifest, EEG), EEG)
    windows = windower.push(Chunk(np.arange(len(signal)) / 100.0, signal))
    said = [p for window in windows for p in task.push(window)] + task.finish()
    epochs = [p for p in said if not p.passing]
    for start_s in range(0, 600, 30):
        of_it = [p for p in epochs if p.start_s == start_s]
        assert [p.final for p in of_it] == [False] * (len(of_it) - 1) + [True]
        assert [p.revision for p in of_it] == list(range(len(of_it)))
        assert of_it[0].time_s == start_s + 30
    assert [p.time_s for p in said] == sorted(p.time_s for p in said)


class Counting:
    """A runner that counts."""

    def __init__(self, runner: object) -> None:
        self._runner, self.runs = runner, 0

    def run(self, inputs: dict) -> dict:
        self.runs += 1
        return self._runner.run(inputs)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
def test_each_epoch_is_encoded_once(tmp_path: Path, kind: str) -> None:
    bundle = bundle_of(tmp_path, kind)
    counting = Counting(bundle.runners["encoder"])
    bundle.runners["encoder"] = counting  # type: ignore[assignment]
    stream(bundle, night([1.0] * 12))
    assert counting.runs == 12


@pytest.mark.parametrize("kind", KINDS)
def test_passing_estimates_see_the_trailing_window_and_leave_no_trace(
    tmp_path: Path, kind: str
) -> None:
    quiet = bundle_of(tmp_path / "none", kind)
    passing = bundle_of(tmp_path / "every_5_s", kind, estimate_every_s=5.0)
    signal = night([1, 3, 2, None, 2])
    said = stream(passing, signal)
    epochs = [dataclasses.replace(p, model="") for p in said if not p.passing]
    assert epochs == [dataclasses.replace(p, model="") for p in stream(quiet, signal)]
    between = [p for p in said if p.passing]
    assert [p.time_s for p in between] == [30 + 5 * k for k in range(1, 24) if k % 6]
    assert all(p.end_s == p.time_s == p.start_s + 30 and not p.final for p in between)
    # 10 s at a mean of 1 and 20 s at 3: mean 2.33, nearest to N2
    (at_50,) = [p for p in between if p.time_s == 50]
    assert at_50.label == "N2"
    # 15 s of nothing: more than a fifth of the window is flat, and it says so
    (at_105,) = [p for p in between if p.time_s == 105]
    assert (at_105.label, at_105.abstained) == (None, AbstainReason.FLAT)
    assert at_105.quality == pytest.approx(0.5)


def test_a_passing_estimate_is_the_models_answer_to_the_trailing_window(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "sleep_stateful", estimate_every_s=15.0)
    signal = night([1, 3])
    (between,) = [p for p in stream(bundle, signal) if p.passing]
    encoder, sequence = bundle.runners["encoder"], bundle.runners["sequence"]
    state = np.zeros((1, 3), np.float32)
    for start in (0, 1500):
        eeg = np.ascontiguousarray(signal[start : start + N].T[None])
        outputs = sequence.run({"features": encoder.run({"eeg": eeg})["features"], "state": state})
        state = outputs["next_state"]
    np.testing.assert_array_equal(
        probabilities(between), outputs["probabilities"][0].astype(np.float64)
    )


@pytest.mark.parametrize(("missing", "seen"), [(10, 2), (360, 2), (361, 0), (365, 0)])
def test_three_hours_without_signal_are_bridged_and_more_forget_the_sleeper(
    tmp_path: Path, missing: int, seen: int
) -> None:
    sequence = build_sequence(bundle_of(tmp_path, "sleep_stateful"))
    known, other = np.float32([2.0]), np.float32([1.0])
    fresh = sequence.push(other)[0]
    sequence.forget()
    for features in (known, known, *[None] * missing):
        sequence.push(features)
    assert sequence.epochs_seen == seen
    assert np.array_equal(sequence.push(other)[0], fresh) == (seen == 0)


def test_a_gap_of_ten_minutes_invents_nothing(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "sleep_stateful", estimate_every_s=5.0)
    task, windower = SleepTask(bundle, EEG), build_windower(fit_stream(bundle.manifest, EEG), EEG)
    times_s = np.concatenate([np.arange(6000), np.arange(66_000, 72_000)]) / 100.0
    windows = windower.push(Chunk(times_s, night([2, 2, 3, 3])))
    said = [p for window in windows for p in task.push(window)] + task.finish()
    epochs = sorted((p for p in said if p.final), key=lambda p: p.start_s)
    assert [p.label for p in epochs] == ["N2"] * 2 + [None] * 20 + ["N3"] * 2
    assert {p.abstained for p in epochs[2:22]} == {AbstainReason.GAP}
    inside = [p for p in said if p.passing and 66 < p.time_s < 654]
    assert inside
    assert all(p.label is None and not p.probabilities for p in inside)


def reopened(
    bundle: Bundle, levels: list[float], info: StreamInfo, start_s: float
) -> list[Prediction]:
    """What is said of a minute and, from ``start_s`` on, of some epochs after a reopening."""
    task = SleepTask(bundle, EEG)

    def epochs(info: StreamInfo, start_s: float, levels: list[float]) -> list[Prediction]:
        windower = build_windower(fit_stream(bundle.manifest, info), info)
        chunk = Chunk(start_s + np.arange(len(levels) * N) / 100.0, night(levels))
        return [p for window in windower.push(chunk) for p in task.push(window)]

    epochs(EEG, 0.0, [2, 1])
    task.finish()
    task.adopt(info)
    return epochs(info, start_s, levels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("away_s", "lost"), [(0.0, 0), (7.0, 0), (40.0, 1), (300.0, 10), (900.0, 30)]
)
def test_a_stream_that_was_away_for_a_while_goes_on_as_after_lost_epochs(
    tmp_path: Path, kind: str, away_s: float, lost: int
) -> None:
    bundle = bundle_of(tmp_path, kind)
    after = reopened(bundle, [1, 3], EEG, 60.0 + away_s)
    whole = stream(bundle, night([2, 1, *[None] * lost, 1, 3]))
    expected = [p for p in whole if p.start_s >= 30 * (2 + lost)]
    assert [p.probabilities for p in after] == [p.probabilities for p in expected]
    assert [p.evidence for p in after] == [p.evidence for p in expected]
    assert all(p.start_s >= 60.0 for p in after)  # what was final before stays as it is


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changes", "start_s"),
    [
        ({}, 60.0 + 10_830.0),
        ({}, 10.0),
        ({"device": "another"}, 60.0),
        ({"channels": ("O1",)}, 60.0),
        ({"simulated": True}, 60.0),
    ],
    ids=["away too long", "time ran backwards", "device", "channel", "simulated"],
)
def test_another_stream_starts_from_nothing(
    tmp_path: Path, kind: str, changes: dict, start_s: float
) -> None:
    bundle = bundle_of(tmp_path, kind)
    after = reopened(bundle, [1, 3], dataclasses.replace(EEG, **changes), start_s)
    fresh = stream(bundle, night([1, 3]))
    assert [p.probabilities for p in after] == [p.probabilities for p in fresh]
    assert [p.evidence for p in after] == [p.evidence for p in fresh]


def test_a_rate_that_does_not_divide_gives_epochs_only_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = bundle_of(tmp_path, "sleep", estimate_every_s=5.0)
    odd = dataclasses.replace(EEG, rate_hz=62.5)  # 30 s are 1875 samples, 5 s are 312.5
    with caplog.at_level(logging.WARNING):
        said = stream(bundle, np.tile(night([2])[:1875], (3, 1)), odd)
        SleepTask(bundle, odd).adopt(odd)
    assert [p.start_s for p in said if not p.final] == [0, 30, 60]
    assert not any(p.passing for p in said)
    assert [r.message.count("no estimates between") for r in caplog.records] == [1, 1]  # per task


@pytest.mark.parametrize(
    ("kind", "lookahead", "says"),
    [("sleep", 5, "shorter than the sequence"), ("sleep_stateful", 3, "as the graph revises")],
)
def test_a_lookahead_that_the_graph_cannot_serve_is_refused(
    tmp_path: Path, kind: str, lookahead: int, says: str
) -> None:
    bundle = bundle_of(tmp_path, kind, lookahead_windows=lookahead)
    with pytest.raises(ManifestError, match=says):
        SleepTask(bundle, EEG)


def test_a_stateful_model_without_revisions_is_final_at_once(tmp_path: Path) -> None:
    said = stream(bundle_of(tmp_path, "sleep_stateful", lookahead_windows=0), night([2, 1]))
    assert [(p.label, p.final, p.revision) for p in said] == [("N2", True, 0), ("N1", True, 0)]


def test_an_unsure_epoch_keeps_its_probabilities(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "sleep_stateful", enter_probability=0.9)
    said = stream(bundle, night([1.5]))[0]
    assert (said.label, said.abstained) == (None, AbstainReason.LOW_CONFIDENCE)
    assert probabilities(said)[1:3] == pytest.approx([0.5, 0.5], abs=0.02)
