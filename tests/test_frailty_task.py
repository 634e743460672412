"""Frailty by gait parameters, from raw signal to the answer: simulated feet, real walks, faults."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_app.contracts import AbstainReason, Chunk, Prediction, StreamInfo
from edge_app.errors import ConfigError, SourceError
from edge_app.gait_picture import draw
from edge_app.gait_record import write_gait
from edge_app.gait_report import read_report
from edge_app.inference.bundle import load_bundle
from edge_app.person_file import PersonFile
from edge_app.preprocess.gait.stride import Stride
from edge_app.simulation.foot_imu import simulate_walk
from edge_app.simulation.gait_parameters import GaitParameters, load_gait_rows
from edge_app.tasks.frailty import FrailtyTask
from edge_app.tasks.person_gait import PersonGait
from edge_app.tasks.protocol import build_windower, fit_stream
from tests.bundles import write_bundle
from tests.conftest import ROOT

RATE_HZ = 100.0
FOOT = StreamInfo(
    name="foot",
    kind="imu",
    rate_hz=RATE_HZ,
    channels=("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z"),
    units=("m/s^2",) * 3 + ("rad/s",) * 3,
    device="simulated",
    simulated=True,
)


def walker(stride_length_m: float) -> GaitParameters:
    """A simulated person with strides of this length; the rest is a register row's."""
    return dataclasses.replace(
        load_gait_rows()[0], stride_length_m=stride_length_m, stride_length_sd_m=0.03
    )


def walk(stride_length_m: float, duration_s: float, seed: int = 1) -> np.ndarray:
    samples, _ = simulate_walk(
        walker(stride_length_m), duration_s=duration_s, rate_hz=RATE_HZ, seed=seed
    )
    return samples


def standing(duration_s: float) -> np.ndarray:
    rng = np.random.default_rng(5)
    samples = 0.02 * rng.standard_normal((round(duration_s * RATE_HZ), 6))
    samples[:, 2] += 9.81
    return samples.astype(np.float32)


def through(
    task: FrailtyTask, samples: np.ndarray, chunk: int = 10_000, start_s: float = 0.0
) -> list[Prediction]:
    windower = build_windower(fit_stream(task._bundle.manifest, FOOT), FOOT)
    times_s = start_s + np.arange(len(samples)) / RATE_HZ
    came = ~np.isnan(samples).all(axis=1)  # what is NaN never came
    times_s, samples = times_s[came], samples[came]
    said = []
    for at in range(0, len(samples), chunk):
        part = slice(at, at + chunk)
        for window in windower.push(Chunk(times_s[part], samples[part])):
            said += task.push(window)
    for window in windower.flush():
        said += task.push(window)
    return said + task.finish()


def task_of(tmp_path: Path, person: PersonGait | None = None, **rolling: object) -> FrailtyTask:
    rolling = {"min_evidence_s": 30.0, **rolling}
    return FrailtyTask(load_bundle(write_bundle(tmp_path, "strides", **rolling)), FOOT, person)


@pytest.mark.parametrize(("stride_length_m", "label"), [(1.2, "robust"), (0.6, "frail")])
def test_a_walker_is_answered_from_what_the_strides_measure(
    tmp_path: Path, stride_length_m: float, label: str
) -> None:
    said = through(task_of(tmp_path), walk(stride_length_m, 90.0))
    evidence = dict(said[-1].evidence)
    assert said[-1].label == label
    assert evidence["stride_length_m"] == pytest.approx(stride_length_m, rel=0.1)
    assert evidence["strides"] >= 20
    assert 30.0 <= evidence["walking_s"] <= 90.0


def test_below_the_least_walking_there_is_no_class(tmp_path: Path) -> None:
    said = through(task_of(tmp_path), walk(1.1, 90.0))
    early = [p for p in said if dict(p.evidence)["strides"] < 20]
    assert early
    assert {p.abstained for p in early} == {AbstainReason.INSUFFICIENT_WALKING}
    assert not any(p.probabilities for p in early)


def test_half_a_minute_of_standing_is_insufficient_walking(tmp_path: Path) -> None:
    said = through(task_of(tmp_path), standing(30.0))
    assert len(said) == 30
    assert {p.abstained for p in said} == {AbstainReason.INSUFFICIENT_WALKING}
    assert dict(said[-1].evidence)["strides"] == 0


def test_the_answer_about_the_person_stands_while_they_stand(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    walked = through(task, walk(1.2, 90.0))
    stood = through(task, standing(60.0), start_s=100.0)
    assert walked[-1].label == "robust"
    assert {p.label for p in stood} == {"robust"}
    assert stood[5].probabilities == stood[-1].probabilities


def test_chunks_change_nothing(tmp_path: Path) -> None:
    samples = walk(0.9, 60.0)
    whole = through(task_of(tmp_path / "a"), samples)
    pieces = through(task_of(tmp_path / "b"), samples, chunk=7)
    assert whole == pieces


def test_a_gap_of_ten_seconds_is_told_and_spoils_no_stride(tmp_path: Path) -> None:
    samples = walk(1.0, 120.0)
    samples[5000:6000] = np.nan
    strides: list[Stride] = []
    task = task_of(tmp_path)
    task.on_strides = strides.extend
    said = through(task, samples)
    assert {p.abstained for p in said[50:60]} == {AbstainReason.GAP}
    # no stride that counts reaches into the gap
    assert not [s for s in strides if s.accepted and s.foot_flat_start_s < 60.0 and s.end_s > 50.0]
    assert said[-1].label is not None


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda x: x * np.float32([1 / 9.81] * 3 + [1] * 3), AbstainReason.SENSOR),
        (lambda x: x * np.float32([1] * 3 + [57.29578] * 3), AbstainReason.SENSOR),
        (lambda x: x * np.float32([1] * 3 + [0] * 3), AbstainReason.SENSOR),
        (lambda x: np.full_like(x, 3.0), AbstainReason.FLAT),
        (lambda x: np.clip(x, -19.6, 19.6), AbstainReason.CLIPPED),
    ],
    ids=["acceleration in g", "rate in deg/s", "no gyroscope", "constant", "range of 2 g"],
)
def test_a_sensor_that_cannot_be_right_gets_no_label(
    tmp_path: Path, spoil: object, reason: AbstainReason
) -> None:
    said = through(task_of(tmp_path), spoil(walk(1.0, 90.0)))
    assert not [p for p in said if p.label is not None]
    assert reason in {p.abstained for p in said}


def test_what_moved_the_answer_adds_up(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    assert task.contributions() == {}
    through(task, walk(0.6, 90.0))
    added = task.contributions()
    assert added["hip_angle_deg_mean"] == {"robust": 0.0, "prefrail": 0.0, "frail": 0.0}
    length_m = task.person.strides.mean("stride_length_m")
    assert added["stride_length_m_mean"]["frail"] == pytest.approx(8.0 * (0.9 - length_m), abs=1e-4)


def gait_file(
    path: Path, *, baseline_strides: int, half_life_s: float | None, **clock: Any
) -> PersonFile[PersonGait]:
    person = PersonGait(baseline_strides=baseline_strides, half_life_s=half_life_s)
    return PersonFile(path, person, **clock)


def test_a_change_from_the_own_baseline_is_told(tmp_path: Path) -> None:
    task = task_of(tmp_path, PersonGait(baseline_strides=20))
    early = through(task, walk(1.2, 60.0))
    late = through(task, walk(0.8, 120.0, seed=2), start_s=100.0)
    assert "stride_length_m_change" not in dict(early[20].evidence)
    assert dict(late[-1].evidence)["stride_length_m_change"] < -0.1


def test_what_is_known_of_the_wearer_outlives_the_program(tmp_path: Path) -> None:
    path = tmp_path / "state" / "bed1.json"
    kept = gait_file(path, baseline_strides=20, half_life_s=None, unix_s=lambda: 1000.0)
    task = task_of(tmp_path / "a", kept.person)
    task.on_strides = kept.heard
    before = through(task, walk(1.2, 90.0))[-1]
    assert path.stat().st_mode & 0o077 == 0

    again = gait_file(path, baseline_strides=20, half_life_s=None, unix_s=lambda: 5000.0)
    after = through(task_of(tmp_path / "b", again.person), standing(2.0))[-1]
    assert after.label == before.label == "robust"
    assert dict(after.evidence)["strides"] >= dict(before.evidence)["strides"]


def test_strides_fade_by_the_wall_clock_also_while_the_program_rests(tmp_path: Path) -> None:
    path = tmp_path / "bed1.json"
    day_s = 86_400.0
    kept = gait_file(path, baseline_strides=20, half_life_s=day_s, unix_s=lambda: 0.0)
    task = task_of(tmp_path / "a", kept.person)
    task.on_strides = kept.heard
    through(task, walk(1.2, 90.0), start_s=7_000_000.0)
    full = kept.person.weight

    again = gait_file(path, baseline_strides=20, half_life_s=day_s, unix_s=lambda: 2 * day_s)
    assert again.person.weight == pytest.approx(full / 4, rel=0.01)
    said = through(task_of(tmp_path / "b", again.person), standing(2.0))[-1]
    assert said.abstained is AbstainReason.INSUFFICIENT_WALKING


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unix_s": 1}', '{"unix_s": 1, "person": {}}'])
def test_a_damaged_file_of_the_wearer_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bed1.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read"):
        gait_file(path, baseline_strides=20, half_life_s=None)
    assert path.read_text(encoding="utf-8") == text


def test_the_record_holds_every_stride_and_the_report_shows_them(tmp_path: Path) -> None:
    strides: list[Stride] = []
    task = task_of(tmp_path)
    task.on_strides = strides.extend
    said = through(task, walk(0.7, 120.0))
    write_gait(tmp_path, "simulated walk", task, strides, said[-1])

    document = json.loads((tmp_path / "gait.json").read_text(encoding="utf-8"))
    lengths_m = [s.stride_length_m for s in strides if s.accepted]
    found = document["parameters"]["stride_length_m"]
    assert found["n"] == len(lengths_m) == document["strides"]["accepted"]
    assert found["mean"] == pytest.approx(np.mean(lengths_m), abs=1e-5)
    assert found["sd"] == pytest.approx(np.std(lengths_m, ddof=1), abs=1e-5)
    assert document["answer"]["label"] == "frail"
    assert document["simulated"] is True
    assert sum(bout["strides"] for bout in document["bouts"]) == len(strides)

    report = read_report(tmp_path)
    assert len(report.strides) == len(strides)
    times_s, values = report.column("stride_time_s", accepted=True)
    assert times_s == pytest.approx([s.end_s for s in strides if s.accepted], abs=1e-3)
    assert all(math.isfinite(value) for value in values)
    picture = draw(report, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_lies_between_two_walks_is_no_walking(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    first_s = dict(through(task, walk(1.0, 20.0))[-1].evidence)["walking_s"]
    task.adopt(FOOT)  # the link was lost for an hour
    both_s = dict(through(task, walk(1.0, 20.0), start_s=3600.0)[-1].evidence)["walking_s"]
    assert 0.0 < first_s < both_s < 40.0


def test_bouts_keep_their_own_numbers_over_a_long_gap_and_a_restart(tmp_path: Path) -> None:
    strides: list[Stride] = []
    task = task_of(tmp_path)
    task.on_strides = strides.extend
    for begin, start_s in enumerate((0.0, 600.0, 1200.0)):
        through(task, walk(1.0, 20.0, seed=1 + begin), start_s=start_s)
        task.forget() if begin == 0 else task.adopt(FOOT)
    first_ends = [s.next_heel_strike_s for s in strides]
    by_time = {s.bout: int(end // 600.0) for s, end in zip(strides, first_ends, strict=True)}
    assert all(by_time[s.bout] == s.next_heel_strike_s // 600.0 for s in strides)
    assert set(by_time.values()) == {0, 1, 2}


@pytest.mark.parametrize("clock", [0.985, 1.015])
@pytest.mark.parametrize("rate_hz", [100.0, 200.0])
def test_a_sensor_clock_that_is_fast_or_slow_costs_no_stride(
    tmp_path: Path, rate_hz: float, clock: float
) -> None:
    info = dataclasses.replace(FOOT, rate_hz=rate_hz)
    samples, _ = simulate_walk(walker(1.1), duration_s=60.0, rate_hz=rate_hz, seed=1)

    def measured(clock: float) -> PersonGait:
        task = FrailtyTask(load_bundle(bundle), info)
        windower = build_windower(fit_stream(task._bundle.manifest, info), info)
        times_s = np.arange(len(samples), dtype=np.float64) * clock / rate_hz
        for window in windower.push(Chunk(times_s, samples)):
            task.push(window)
        task.finish()
        return task.person

    bundle = write_bundle(tmp_path, "strides", min_evidence_s=30.0)
    right, off = measured(1.0), measured(clock)
    assert off.weight == pytest.approx(right.weight, abs=2.0)
    expected_s = clock * right.strides.mean("stride_time_s")
    assert off.strides.mean("stride_time_s") == pytest.approx(expected_s, rel=0.002)


@pytest.mark.parametrize("axis", range(6))
def test_a_mirrored_axis_gets_no_label_even_after_a_restart(tmp_path: Path, axis: int) -> None:
    samples = walk(1.1, 60.0)
    samples[:, axis] *= -1.0
    task = task_of(tmp_path)
    said = through(task, samples)
    assert not [p for p in said if p.label is not None]
    assert said[-1].abstained is AbstainReason.SENSOR
    task.adopt(FOOT)
    stood = through(task, standing(5.0), start_s=200.0)
    assert {p.abstained for p in stood} == {AbstainReason.INSUFFICIENT_WALKING}


@pytest.mark.parametrize("axis", range(6))
def test_strides_with_an_axis_that_hangs_are_not_kept(tmp_path: Path, axis: int) -> None:
    samples = walk(1.1, 60.0)
    samples[:, axis] = 0.0
    task = task_of(tmp_path)
    walked = through(task, samples)
    stood = through(task, standing(5.0), start_s=100.0)
    assert not [p for p in walked + stood if p.label is not None]
    assert AbstainReason.SENSOR in {p.abstained for p in walked}
    assert task.person.weight == 0.0


def damaged(document: dict[str, Any], path: str, value: object) -> str:
    *folders, last = path.split(".")
    place = document
    for name in folders:
        place = place[name]
    place[last] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("person.strides.n_accepted", math.inf),
        ("person.strides.rejected", {"turn": math.inf}),
        ("person.strides.n_strides", 3),
        ("person.strides.n_accepted", 5),
        ("person.strides.moments.weight", 1e300),
        ("person", None),
    ],
)
def test_a_file_of_the_wearer_that_contradicts_itself_is_refused(
    tmp_path: Path, place: str, value: object
) -> None:
    path = tmp_path / "bed1.json"
    kept = gait_file(path, baseline_strides=20, half_life_s=None)
    through(task_of(tmp_path / "a", kept.person), walk(1.2, 60.0))
    kept.save()
    path.write_text(damaged(json.loads(path.read_text("utf-8")), place, value), "utf-8")
    with pytest.raises(ConfigError, match="cannot be read"):
        gait_file(path, baseline_strides=20, half_life_s=None)


def test_a_name_too_long_and_a_file_too_deep_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000, encoding="utf-8")
    for path in (tmp_path / "deep.json", tmp_path / ("a" * 300)):
        with pytest.raises(ConfigError, match="cannot be read"):
            gait_file(path, baseline_strides=20, half_life_s=None)


def test_a_clock_that_is_set_back_does_not_stop_the_saving(tmp_path: Path) -> None:
    strides: list[Stride] = []
    task = task_of(tmp_path / "a")
    task.on_strides = strides.extend
    through(task, walk(1.2, 30.0))
    now_s = [1e9]
    path = tmp_path / "bed1.json"
    kept = gait_file(path, baseline_strides=20, half_life_s=None, unix_s=lambda: now_s[0])
    now_s[0] -= 86_400.0
    kept.heard(strides[:1])
    assert path.exists()
    path.unlink()
    now_s[0] += 30.0
    kept.heard(strides[1:2])
    assert not path.exists()
    now_s[0] += 31.0
    kept.heard(strides[2:3])
    assert path.exists()


def test_strides_fade_also_while_the_wearer_sits(tmp_path: Path) -> None:
    day_s = 86_400.0
    now_s = [0.0]
    path = tmp_path / "bed1.json"
    kept = gait_file(path, baseline_strides=20, half_life_s=day_s, unix_s=lambda: now_s[0])
    task = task_of(tmp_path / "a", kept.person)
    task.on_strides = kept.heard
    through(task, walk(1.2, 60.0))
    full = kept.person.weight
    now_s[0] = 2 * day_s
    task.finish()  # two days of sitting later
    again = gait_file(path, baseline_strides=20, half_life_s=day_s, unix_s=lambda: now_s[0])
    assert again.person.weight == pytest.approx(full / 4, rel=0.01)


def test_a_baseline_made_by_another_setting_stays_the_first_strides(tmp_path: Path) -> None:
    path = tmp_path / "bed1.json"
    kept = gait_file(path, baseline_strides=20, half_life_s=None)
    through(task_of(tmp_path / "a", kept.person), walk(1.2, 60.0))
    kept.save()
    again = gait_file(path, baseline_strides=50, half_life_s=None)
    before_m = again.person.baseline.mean("stride_length_m")
    through(task_of(tmp_path / "b", again.person), walk(0.8, 60.0, seed=2))
    assert again.person.baseline.n_accepted == 20
    assert again.person.baseline.mean("stride_length_m") == before_m


@pytest.mark.parametrize("key", ["recording", "walking_s", "bouts", "answer", "contributions"])
def test_a_summary_that_lacks_something_is_no_report(tmp_path: Path, key: str) -> None:
    task = task_of(tmp_path)
    said = through(task, walk(0.7, 60.0))
    write_gait(tmp_path, "simulated walk", task, [], said[-1])
    document = json.loads((tmp_path / "gait.json").read_text(encoding="utf-8"))
    del document[key]
    (tmp_path / "gait.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SourceError, match="no gait to report on"):
        read_report(tmp_path)


def made_up(n: int, **values: float) -> list[Stride]:
    """Strides in a row that measure the same, but for a little."""
    rng = np.random.default_rng(4)
    like = {
        "load_fraction": 0.1,
        "foot_flat_fraction": 0.4,
        "push_fraction": 0.2,
        "swing_fraction": 0.3,
        "path_2d_m": 1.1,
        "path_3d_m": 1.1,
        "clearance_m": 0.1,
        "turn_deg": 0.0,
    } | values
    strides = []
    for i in range(n):
        at_s = i * values["stride_time_s"]
        spread = {name: value * (1 + 0.02 * rng.standard_normal()) for name, value in like.items()}
        strides.append(
            Stride(
                bout=0,
                heel_strike_s=at_s,
                foot_flat_start_s=at_s + 0.1,
                foot_flat_end_s=at_s + 0.4,
                toe_off_s=at_s + 0.7,
                next_heel_strike_s=at_s + values["stride_time_s"],
                end_s=at_s + values["stride_time_s"] + 0.1,
                rejected=None,
                **spread,
            )
        )
    return strides


@pytest.mark.parametrize(
    ("values", "label_or_reason"),
    [
        (
            {
                "stride_time_s": 1.1,
                "toe_off_angle_deg": -65.0,
                "heel_strike_angle_deg": 20.0,
                "stride_length_m": 1.2,
            },
            "robust",
        ),
        (
            {
                "stride_time_s": 4.5,
                "toe_off_angle_deg": -120.0,
                "heel_strike_angle_deg": 60.0,
                "stride_length_m": 3.0,
            },
            AbstainReason.UNFAMILIAR,
        ),
    ],
)
def test_somebody_unlike_all_who_were_learnt_from_gets_no_label(
    values: dict[str, float], label_or_reason: object
) -> None:
    person = PersonGait()
    person.add(made_up(60, **values))
    task = FrailtyTask(load_bundle(ROOT / "exports" / "frailty"), FOOT, person)
    said = through(task, standing(2.0))[-1]
    assert label_or_reason in (said.label, said.abstained)
    strange = dict(said.evidence)["unfamiliar_parameters"]
    assert strange == len(task.unfamiliar())
    assert (strange > 4) is (label_or_reason is AbstainReason.UNFAMILIAR)


def test_contributions_are_those_of_the_probabilities() -> None:
    """Whatever the temperature: sums of contributions differ as the log-probabilities do."""
    person = PersonGait()
    person.add(
        made_up(
            60,
            stride_time_s=1.3,
            toe_off_angle_deg=-45.0,
            heel_strike_angle_deg=9.0,
            stride_length_m=0.8,
        )
    )
    task = FrailtyTask(load_bundle(ROOT / "exports" / "frailty"), FOOT, person)
    probabilities = dict(through(task, standing(1.0))[-1].probabilities)
    sums = {
        label: sum(row[label] for row in task.contributions().values()) for label in probabilities
    }
    expected = math.log(probabilities["frail"] / probabilities["robust"])
    assert sums["frail"] - sums["robust"] == pytest.approx(expected, abs=1e-4)
