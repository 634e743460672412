"""Frailty experiment: simulated windows, split by person, augmentation, person level, bundle."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_app.contracts import IMU_CHANNELS, IMU_UNITS, Window  # noqa: E402
from edge_app.inference.bundle import Bundle, load_bundle, require_golden  # noqa: E402
from edge_app.preprocess.gait import condition_gait, gyr_rms_radps  # noqa: E402
from edge_app.sources.recording.formats import open_recording  # noqa: E402
from edge_app.windowing import SlidingWindows  # noqa: E402
from trainer.datasets.gstride import LABELS, Person, read_register  # noqa: E402
from trainer.datasets.simulated_gait import (  # noqa: E402
    CONDITIONING,
    WINDOW,
    gait_parameters,
    split_people,
    walking_windows,
)
from trainer.experiments.frailty import (  # noqa: E402
    FrailtyExperiment,
    FrailtyOptions,
    person_level,
    random_rotations,
)
from trainer.models.gait_cnn import GaitCnn, with_lengths  # noqa: E402
from trainer.recipe import RECIPES_DIR, load_recipe  # noqa: E402

pytestmark = pytest.mark.torch
BUNDLE = Path(__file__).resolve().parents[1] / "exports" / "frailty"


@pytest.fixture(scope="module")
def people(data_dir) -> tuple[Person, ...]:
    return read_register(data_dir)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(BUNDLE)


def test_split_by_person_keeps_shares(people):
    learnt, held = split_people(people, 0.3, seed=5)
    assert not {p.person for p in learnt} & {p.person for p in held}
    assert len(learnt) + len(held) == 163
    held_counts = [sum(p.frailty == label for p in held) for label in LABELS]
    assert held_counts == [round(65 * 0.3), round(77 * 0.3), round(21 * 0.3)]
    assert split_people(people, 0.3, seed=5) == (learnt, held)
    assert split_people(people, 0.3, seed=6) != (learnt, held)


def test_load_has_no_person_on_both_sides(data_dir):
    experiment = FrailtyExperiment(FrailtyOptions(seconds_per_person=10.0))
    train, validation = experiment.load(data_dir)
    assert not set(train.groups) & set(validation.groups)
    assert train.inputs[0].shape[1:] == (6, 200)
    assert "SIMULATED" in train.name
    assert "SIMULATED" in validation.name
    again = experiment.load_evaluation(data_dir)
    assert torch.equal(again.inputs[0], validation.inputs[0])


def test_register_row_in_the_simulators_units(people):
    parameters = gait_parameters(people[0])  # V001: stride time 1.022 s, swing 31.94 %
    assert parameters.stride_time_s == 1.022
    assert parameters.swing_fraction == pytest.approx(0.3194)
    assert parameters.frailty == "prefrail"
    for person in people:
        gait_parameters(person)  # every row is a walking person to the simulator


def test_windows_walk_and_are_the_same_for_the_same_seed(people):
    windows = walking_windows(people[0], duration_s=60.0, seed=1)
    assert windows.dtype == np.float32
    assert len(windows) > 40
    for window in windows:
        assert gyr_rms_radps(window.T) >= CONDITIONING.min_gyr_rms_radps
    np.testing.assert_array_equal(windows, walking_windows(people[0], duration_s=60.0, seed=1))
    assert not np.array_equal(windows[0], walking_windows(people[0], duration_s=60.0, seed=2)[0])


def test_simulation_does_not_read_the_label(people):
    """Two people who walk alike look alike, whatever their class."""
    other = replace(people[0], frailty="frail")
    np.testing.assert_array_equal(
        walking_windows(people[0], duration_s=20.0, seed=1),
        walking_windows(other, duration_s=20.0, seed=1),
    )


def test_gate_tells_real_walking_from_real_standing(data_dir):
    """Person 1, left foot: standing before the first step, walking between the labelled swings."""
    table = np.loadtxt(data_dir / "gait/imu_walks/2-2_lf.txt", skiprows=2)  # no packet lost
    samples = table[:, 1:7].astype(np.float32)
    swings = [gyr_rms_radps(samples[start : start + 200]) for start in range(200, 801, 50)]
    assert gyr_rms_radps(samples[:100]) < CONDITIONING.min_gyr_rms_radps
    assert np.median(swings) > 2 * CONDITIONING.min_gyr_rms_radps


def foot_windows(path: Path) -> Iterator[Window]:
    """The bedside's windows of a foot on the packet grid, without those that lack too much."""
    recording = open_recording(path, kind="imu")
    windower = SlidingWindows(
        recording.info, length_samples=WINDOW.length_samples, hop_samples=WINDOW.hop_samples
    )
    for chunk in recording.chunks():
        for window in windower.push(chunk):
            if window.missing_fraction <= CONDITIONING.max_missing_fraction:
                yield window
    recording.close()


def phase(window: Window, events: list[list[int]], turn: list[int]) -> str:
    """What the labels say of a window; their numbers count packets of 1/100 s."""
    first_s, last_s = events[0][0] / 100, events[-1][1] / 100
    if window.end_s <= first_s or window.start_s >= last_s:
        return "standing"
    if window.start_s < turn[1] / 100 and window.end_s > turn[0] / 100:
        return "turn"
    return "walking" if first_s <= window.start_s and window.end_s <= last_s else "border"


def test_gate_on_all_real_walks(data_dir):
    """The figures in the docstring of CONDITIONING, by the definition that stands there."""
    there, passed = Counter(), Counter()
    for labels in sorted((data_dir / "gait/imu_walks").glob("*.json")):
        trial = json.loads(labels.read_text())
        for foot, events in (("lf", "LeftFootEvents"), ("rf", "RightFootEvents")):
            for window in foot_windows(labels.with_name(f"{labels.stem}_{foot}.txt")):
                label = phase(window, trial[events], trial["UTurnBoundaries"])
                there[label] += 1
                passed[label] += (
                    condition_gait(
                        window.samples,
                        length_samples=WINDOW.length_samples,
                        min_gyr_rms_radps=CONDITIONING.min_gyr_rms_radps,
                    )
                    is not None
                )
    assert (passed["walking"], there["walking"]) == (1300, 1331)
    assert (passed["turn"], there["turn"]) == (354, 354)
    assert (passed["standing"], there["standing"]) == (6, 419)


def test_rotations_are_rotations_within_the_limit():
    turns = random_rotations(500, 0.35, torch.Generator().manual_seed(0))
    identity = torch.eye(3).expand(500, 3, 3)
    torch.testing.assert_close(turns @ turns.transpose(1, 2), identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(500), atol=1e-5, rtol=0)
    traces = turns.diagonal(dim1=1, dim2=2).sum(dim=1)
    angles = torch.acos(((traces - 1) / 2).clamp(-1, 1))
    assert float(angles.max()) < 0.3501
    assert float(angles.max()) > 0.3


def test_augmentation_turns_both_sensors_alike():
    generator = torch.Generator().manual_seed(3)
    acceleration = torch.randn(4, 3, 200, generator=generator)
    imu = torch.cat((acceleration, 2.0 * acceleration), dim=1)
    experiment = FrailtyExperiment(FrailtyOptions(gain=0.0))
    (turned,), targets = experiment.augment((imu,), torch.arange(4), generator)
    torch.testing.assert_close(turned[:, 3:], 2.0 * turned[:, :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        with_lengths(turned)[:, 6:], with_lengths(imu)[:, 6:], atol=1e-4, rtol=0
    )
    assert not torch.allclose(turned, imu, atol=1e-2)
    assert targets.tolist() == [0, 1, 2, 3]


def test_constants_come_from_the_training_windows():
    windows = torch.randn(50, 6, 200) * 3.0 + 5.0
    model = GaitCnn(3, width=8, dropout=0.0)
    model.standardise_by(windows)
    standardised = (with_lengths(windows) - model.mean) / model.std
    torch.testing.assert_close(standardised.mean(dim=(0, 2)), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(standardised.std(dim=(0, 2)), torch.ones(8), atol=1e-3, rtol=0)


def test_person_level_averages_log_probabilities():
    probabilities = np.array(
        [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]],
        dtype=np.float32,
    )
    groups = np.array(["a", "a", "a", "b", "b"])
    # a: ln products .072, .036 -> robust, though two of three windows say prefrail. b: .02 .10 .21
    result = person_level(probabilities, np.array([0, 0, 0, 1, 1]), groups)
    assert result.n == 2
    assert result.confusion.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert result.balanced_accuracy == 0.5


def test_bundle_keeps_its_contract(bundle):
    require_golden(bundle)
    (graph,) = bundle.manifest.graphs
    assert [(t.name, t.shape) for t in graph.inputs] == [("imu", (1, 6, 200))]
    assert {t.name: t.shape for t in graph.outputs} == {
        "logits": (1, 3),
        "probabilities": (1, 3),
    }
    assert bundle.manifest.labels == LABELS
    assert bundle.manifest.stream.channels == IMU_CHANNELS
    assert bundle.manifest.stream.units == IMU_UNITS
    assert bundle.manifest.rolling.min_evidence_s == 30.0
    assert bundle.manifest.simulated
    assert all(metric.simulated for metric in bundle.manifest.metrics)
    assert "SIMULATED" in bundle.manifest.limits


def test_bundle_was_made_by_the_recipe_that_is_shipped():
    shipped = load_recipe(RECIPES_DIR / "frailty_simulated_cnn.yaml")
    assert (BUNDLE / "recipe.yaml").read_text(encoding="utf-8") == shipped.to_yaml()


def test_people_are_not_recognised_too_well(bundle, data_dir):
    """Classes overlap in the register: near 0.9 a person would be a leak (frailty.md, 5 and 9)."""
    experiment = load_recipe(BUNDLE / "recipe.yaml").experiment
    split = experiment.load_evaluation(data_dir)
    probabilities = experiment.score(lambda role, inputs: bundle.runners[role].run(inputs), split)
    result = person_level(probabilities, split.targets.numpy(), split.groups)
    assert result.n == 49
    assert 0.4 < result.balanced_accuracy < 0.85
