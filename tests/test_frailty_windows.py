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

from rich.console import Console  # noqa: E402

from edge_app.contracts import IMU_CHANNELS, IMU_UNITS, Window  # noqa: E402
from edge_app.preprocess.gait.window import condition_gait, gyr_rms_radps  # noqa: E402
from edge_app.simulation.foot_imu import simulate_walk  # noqa: E402
from edge_app.sources.recording.formats import open_recording  # noqa: E402
from edge_app.windowing import SlidingWindows  # noqa: E402
from trainer.datasets.gait_windows import CONDITIONING, WINDOW, evenly_chosen  # noqa: E402
from trainer.datasets.gstride import FILE, LABELS, Person, read_register  # noqa: E402
from trainer.datasets.gstride_raw import RAW_COUNTS  # noqa: E402
from trainer.datasets.simulated_gait import (  # noqa: E402
    example_windows,
    gait_parameters,
    split_people,
    walking_windows,
)
from trainer.experiments.frailty_windows import (  # noqa: E402
    FrailtyWindowsExperiment,
    FrailtyWindowsOptions,
    oversampled,
)
from trainer.features.mounting import random_rotations  # noqa: E402
from trainer.onnx_graph import export_graph  # noqa: E402
from trainer.recipe import RECIPES_DIR, load_recipe  # noqa: E402
from trainer.splits import refuse_leak  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def people(data_dir) -> tuple[Person, ...]:
    return read_register(data_dir)


def test_split_by_person_keeps_shares(people):
    learnt, held = split_people(people, 0.3, seed=5)
    assert not {p.person for p in learnt} & {p.person for p in held}
    assert len(learnt) + len(held) == 163
    held_counts = [sum(p.frailty == label for p in held) for label in LABELS]
    assert held_counts == [round(65 * 0.3), round(77 * 0.3), round(21 * 0.3)]
    assert split_people(people, 0.3, seed=5) == (learnt, held)
    assert split_people(people, 0.3, seed=6) != (learnt, held)


def experiment_of(**options: object) -> FrailtyWindowsExperiment:
    return FrailtyWindowsExperiment(
        FrailtyWindowsOptions.model_validate({"seconds_per_person": 10.0} | options)
    )


def test_load_has_no_person_on_both_sides(data_dir):
    experiment = experiment_of()
    train, validation = experiment.load(data_dir)
    refuse_leak(train, validation)
    assert train.inputs[0].shape[1:] == (6, 200)
    assert "SIMULATED" in train.name
    assert "SIMULATED" in validation.name
    again = experiment.load_evaluation(data_dir)
    assert torch.equal(again.inputs[0], validation.inputs[0])
    indoors = experiment.subsets(data_dir, validation)["indoors"]
    outdoors = {p.person for p in read_register(data_dir) if not p.indoors}
    assert not set(validation.groups[indoors]) & outdoors
    assert set(validation.groups[~indoors]) <= outdoors


def test_the_models_constants_are_of_the_training_side_alone(data_dir):
    experiment = experiment_of()
    train, _ = experiment.load(data_dir)
    model = experiment.build_model()
    values = train.inputs[0][:, 4].numpy().astype(np.float64)
    low, high = np.quantile(values, (1e-4, 1 - 1e-4))
    assert float(model.mean[4]) == pytest.approx(np.clip(values, low, high).mean(), abs=1e-4)
    shares = np.bincount(train.targets.numpy()) / len(train.targets)
    np.testing.assert_allclose(model.log_prior.numpy(), np.log(shares), atol=1e-6)
    plain = experiment_of(balance="none")
    plain.load(data_dir)
    assert torch.equal(plain.build_model().log_prior, torch.zeros(3))


def test_rarer_classes_are_repeated_in_training_only(data_dir):
    experiment = experiment_of(balance="oversample")
    train, validation = experiment.load(data_dir)
    counts = Counter(train.targets.tolist())
    assert len(set(counts.values())) == 1
    plain, same = experiment_of(balance="none").load(data_dir)
    assert counts[1] == Counter(plain.targets.tolist())[1]
    assert torch.equal(same.targets, validation.targets)


def test_oversampling_takes_rows_in_turn():
    rows = oversampled(torch.tensor([1, 0, 0, 0, 0, 0, 1]), 3)
    assert sorted(rows.tolist()) == [0, 0, 0, 1, 2, 3, 4, 5, 6, 6]


def test_windows_are_spread_over_the_walk():
    windows = np.arange(10, dtype=np.float32)[:, None, None]
    assert evenly_chosen(windows, 4).ravel().tolist() == [0, 3, 6, 9]
    assert evenly_chosen(windows, None) is windows
    assert evenly_chosen(windows, 10) is windows


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
    experiment = experiment_of(rotate_deg=20.0)
    (turned,), targets = experiment.augment((imu,), torch.arange(4), generator)
    torch.testing.assert_close(turned[:, 3:], 2.0 * turned[:, :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(turned[:, :3].norm(dim=1), imu[:, :3].norm(dim=1))
    assert not torch.allclose(turned, imu, atol=1e-2)
    assert targets.tolist() == [0, 1, 2, 3]


def test_without_augmentation_batches_are_left_alone():
    imu, targets = torch.randn(4, 6, 200), torch.arange(4)
    (same,), _ = experiment_of().augment((imu,), targets, torch.Generator())
    assert same is imu


def test_bundle_says_what_it_was_learnt_from(data_dir):
    simulated, recordings = (experiment_of(source=s).parts() for s in ("simulated", "recordings"))
    for parts in (simulated, recordings):
        assert parts.labels == LABELS
        assert parts.stream.channels == IMU_CHANNELS
        assert parts.stream.units == IMU_UNITS
        assert parts.rolling.min_evidence_s == 30.0
        assert "Not a medical device" in parts.intended_use.replace("\n", " ")
    assert simulated.data[0].simulated
    assert "SIMULATED" in simulated.limits
    assert "SIMULATED" in simulated.data[0].name
    assert not recordings.data[0].simulated
    assert "SIMULATED" not in recordings.limits + recordings.data[0].name
    learnt, _ = split_people(read_register(data_dir), 0.3, 1)
    assert simulated.data[0].people == len(learnt)


def test_exported_graph_is_tried_on_simulated_feet(tmp_path):
    experiment = experiment_of()
    torch.manual_seed(0)
    (graph,) = experiment.graphs(experiment.build_model().eval(), 1.0, None)
    spec = export_graph(graph, tmp_path)
    assert [(t.name, t.shape) for t in spec.inputs] == [("imu", (1, 6, 200))]
    assert {t.name: t.shape for t in spec.outputs} == {"logits": (1, 3), "probabilities": (1, 3)}
    assert graph.inputs["imu"].shape == (6, 6, 200)
    np.testing.assert_array_equal(graph.inputs["imu"], example_windows(6))


def write_download(folder: Path, data_dir: Path) -> None:
    """A GSTRIDE download of SIMULATED feet: 158 calibrated files and the register."""
    people = read_register(data_dir)
    folder.mkdir()
    (folder / "Database_register.csv").write_bytes((data_dir / FILE).read_bytes())
    (folder / "Test_recordings_calibrated").mkdir()
    for person in people:
        if not person.has_recording:
            continue
        rate_hz = {"CSIC": 104.0, "Gaitup": 128.0}[person.device]
        samples, _ = simulate_walk(
            gait_parameters(person), duration_s=16.0, rate_hz=rate_hz, seed=int(person.person[1:])
        )
        file = folder / "Test_recordings_calibrated" / f"{person.person}_0101.txt"
        np.savetxt(file, samples, fmt="%.4f", header="ax ay az gx gy gz", comments="")


def test_learns_from_a_download(data_dir, tmp_path, caplog):
    write_download(tmp_path / "GSTRIDE", data_dir)
    experiment = experiment_of(source="recordings", windows_per_person=6)
    with caplog.at_level("INFO", "trainer"):
        train, validation = experiment.load(tmp_path / "GSTRIDE")
    refuse_leak(train, validation)
    assert "V142, V143, V157, V158, V159 left out" in caplog.text
    assert caplog.text.count("Hz, acceleration in m/s^2") == sum(RAW_COUNTS.values()) == 158
    assert caplog.text.count("at 128 Hz") == 10
    assert "SIMULATED" not in train.name  # the loader cannot know what this test has written
    people = {**dict(zip(train.groups, train.targets.tolist(), strict=True))}
    people |= dict(zip(validation.groups, validation.targets.tolist(), strict=True))
    register = {p.person: LABELS.index(p.frailty) for p in read_register(data_dir)}
    assert len(people) > 150  # a slow starter may stand for all 16 s
    assert all(register[name] == label for name, label in people.items())
    assert max(Counter(train.groups).values()) == 6


def test_simulated_download_through_cross_validation(data_dir, tmp_path):
    """The whole road on very few windows; what it learns in one pass is not looked at."""
    made = load_recipe(
        RECIPES_DIR / "frailty_deepconvlstm_1e-3.yaml",
        (
            "fit.passes=1",
            "experiment.seconds_per_person=12",
            "experiment.windows_per_person=1",
            "experiment.cross_validation.folds=2",
            "experiment.cross_validation.resamples=20",
        ),
    )
    out = tmp_path / "folds"
    out.mkdir()
    figures = made.experiment.cross_validate(made, data_dir, out, Console(quiet=True))
    json.dumps(figures, allow_nan=False)
    assert figures["simulated"]
    assert "SIMULATED" in figures["data"]
    assert figures["people"]["n"] > 140
    assert set(figures["subsets"]) == {"indoors"}
    assert {p.name for p in out.iterdir()} == {"data.sha256", "fold_1", "fold_2", "shuffled"}
    assert [p.name for p in tmp_path.iterdir()] == ["folds"]


@pytest.mark.parametrize(
    ("name", "rate"), [("frailty_deepconvlstm", 0.0268), ("frailty_deepconvlstm_1e-3", 0.001)]
)
def test_recipes_carry_the_papers_numbers(name, rate):
    made = load_recipe(RECIPES_DIR / f"{name}.yaml")
    assert isinstance(made.experiment, FrailtyWindowsExperiment)
    assert (made.fit.batch, made.fit.passes, made.fit.patience) == (64, 25, 3)
    assert (made.fit.optimiser, made.fit.learning_rate) == ("adam", rate)
    assert (made.experiment.options.l2, made.experiment.options.dropout) == (0.0004, 0.5)
    assert made.fit.clip_norm is not None
    assert made.experiment.options.cross_validation.shuffled_too
