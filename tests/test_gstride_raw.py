"""Raw GSTRIDE recordings: written from a simulated foot in many ways, read back, or refused."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_app.errors import DatasetError
from edge_app.simulation.foot_imu import simulate_walk
from edge_app.simulation.gait_parameters import load_gait_rows
from trainer.datasets.gait_windows import CONDITIONING, windows_of
from trainer.datasets.gstride import Gait, Person, Statistic
from trainer.datasets.gstride_raw import (
    find_recordings,
    find_register,
    read_recordings,
    read_windows,
    recorded,
)
from trainer.datasets.gstride_text import read_table
from trainer.datasets.gstride_units import DEVICE_RATE_HZ, Recording, understand

GRAVITY = 9.80665
DEG = math.pi / 180


def foot(rate_hz: float = 104.0, duration_s: float = 30.0) -> np.ndarray:
    """A simulated foot in m/s^2 and rad/s, standing first."""
    samples, _ = simulate_walk(load_gait_rows()[0], duration_s=duration_s, rate_hz=rate_hz, seed=3)
    return samples.astype(np.float64)


WALK = foot()


def person(name: str = "V001", *, device: str = "CSIC", has_recording: bool = True) -> Person:
    gait = Gait(*(Statistic(1.0, 0.1) for _ in range(13)))
    return Person(name, "frail", 3, has_recording, device, True, gait)


def write(
    path: Path,
    values: np.ndarray,
    *,
    delimiter: str = " ",
    decimal: str = ".",
    header: str = "",
    places: int = 6,
    end: str = "\n",
) -> Path:
    rows = (delimiter.join(f"{v:.{places}f}" for v in row).replace(".", decimal) for row in values)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + end.join(rows) + end, encoding="utf-8", newline="")
    return path


def read(path: Path, *, device: str = "CSIC", counts_per_dps: float | None = None) -> Recording:
    table = read_table(path)
    return understand(path, table, person="V001", device=device, counts_per_dps=counts_per_dps)


def assert_is_the_walk(recording: Recording, expected: np.ndarray = WALK, atol: float = 1e-3):
    got = np.concatenate(recording.stretches)
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=atol)


TIME_S = np.arange(len(WALK))[:, None] / 104.0
SECONDS = np.hstack([TIME_S, WALK])


@pytest.mark.parametrize(
    ("values", "how", "time", "header_lines"),
    [
        (WALK, {}, None, 0),
        (WALK, {"delimiter": "\t"}, None, 0),
        (WALK, {"delimiter": ";"}, None, 0),
        (WALK, {"delimiter": ","}, None, 0),
        (WALK, {"delimiter": ", "}, None, 0),
        (WALK, {"delimiter": ";", "decimal": ","}, None, 0),
        (WALK, {"delimiter": "  ", "decimal": ","}, None, 0),
        (WALK, {"end": "\r\n"}, None, 0),
        (WALK, {"end": "\n\n"}, None, 0),
        (WALK, {"header": "ax ay az gx gy gz\n"}, None, 1),
        (WALK, {"header": "\ufeffAcc_X [m/s2];...\n# two\n\n", "delimiter": ";"}, None, 2),
        (WALK, {"header": "some words\n" * 40}, None, 40),
        (SECONDS, {}, 0, 0),
        (SECONDS, {"delimiter": ";", "decimal": ",", "header": "t;a;b;c;d;e;f\n"}, 0, 1),
        (np.hstack([np.round(TIME_S * 1e3), WALK]), {}, 0, 0),
        (np.hstack([np.round(TIME_S * 1e6) + 1.6e15, WALK]), {}, 0, 0),
        (np.hstack([np.arange(len(WALK))[:, None] * 1.0, WALK]), {}, 0, 0),
        (np.hstack([WALK, TIME_S]), {}, 6, 0),
    ],
)
def test_every_layout_gives_the_same_walk(tmp_path, values, how, time, header_lines):
    recording = read(write(tmp_path / "V001_a.txt", values, **how))
    assert_is_the_walk(recording)
    assert recording.verdict.time_column == time
    assert recording.verdict.header_lines == header_lines
    assert recording.verdict.decimal_comma == (how.get("decimal") == ",")
    assert recording.verdict.gaps == 0


@pytest.mark.parametrize("acc", [("m/s^2", 1.0), ("g", 1 / GRAVITY), ("mg", 1000 / GRAVITY)])
@pytest.mark.parametrize("gyr", [("rad/s", 1.0), ("deg/s", 1 / DEG)])
def test_units_are_told_by_rest_and_by_swing(tmp_path, acc, gyr):
    values = WALK * np.array([acc[1]] * 3 + [gyr[1]] * 3)
    recording = read(write(tmp_path / "V001.txt", values))
    assert (recording.verdict.acc_unit, recording.verdict.gyr_unit) == (acc[0], gyr[0])
    assert_is_the_walk(recording)
    assert acc[0] in recording.verdict.line()
    assert gyr[0] in recording.verdict.line()
    assert "30 s at 104 Hz" in recording.verdict.line()


@pytest.mark.parametrize("counts_per_g", [2048, 4096, 8192, 16384])
def test_counts_need_the_gyroscopes_scale(tmp_path, counts_per_g):
    scale = np.array([counts_per_g / GRAVITY] * 3 + [16.4 / DEG] * 3)
    path = write(tmp_path / "V001.txt", np.rint(WALK * scale), places=0)
    with pytest.raises(DatasetError, match="scale cannot be told") as refused:
        read(path)
    assert "counts_per_dps" in refused.value.next_step
    recording = read(path, counts_per_dps=16.4)
    assert recording.verdict.acc_unit == recording.verdict.gyr_unit == "counts"
    assert_is_the_walk(recording, atol=0.01)


def test_gyroscope_first_is_found_by_rest(tmp_path):
    recording = read(write(tmp_path / "V001.txt", WALK[:, [3, 4, 5, 0, 1, 2]]))
    assert recording.verdict.axes == (3, 4, 5, 0, 1, 2)
    assert "axes in columns" in recording.verdict.line()
    assert_is_the_walk(recording)


def test_names_in_the_header_give_the_order(tmp_path):
    order = [2, 1, 0, 3, 5, 4]
    header = "AccZ [g],AccY [g],AccX [g],GyrX,GyrZ,GyrY\n"
    path = write(tmp_path / "V001.csv", WALK[:, order], delimiter=",", header=header)
    assert_is_the_walk(read(path))


def test_units_of_real_feet(data_dir, tmp_path):
    """24 walks, both feet, of other sensors, in the units of a GSTRIDE file: all are recognised."""
    files = sorted((data_dir / "gait/imu_walks").glob("*_[lr]f.txt"))
    assert len(files) == 48
    for number, file in enumerate(files):
        values = np.loadtxt(file, skiprows=2, usecols=range(1, 7))
        in_g = number % 2 == 0
        scale = np.array([1 / GRAVITY] * 3 + [1 / DEG] * 3) if in_g else np.ones(6)
        path = tmp_path / "V001.txt"
        np.savetxt(path, values * scale, fmt="%.6f")
        recording = read(path)
        units = (recording.verdict.acc_unit, recording.verdict.gyr_unit)
        assert units == (("g", "deg/s") if in_g else ("m/s^2", "rad/s")), file.name
        assert_is_the_walk(recording, values)


def test_names_against_the_numbers_are_refused(tmp_path):
    header = "gx gy gz ax ay az\n"
    with pytest.raises(DatasetError, match=r"cannot tell accelerometer.*against the names"):
        read(write(tmp_path / "V001.txt", WALK, header=header))


def test_rate_follows_the_registers_device(tmp_path):
    values = foot(128.0)
    recording = read(write(tmp_path / "V009.txt", values), device="Gaitup")
    assert recording.verdict.rate_hz == DEVICE_RATE_HZ["Gaitup"] == 128.0
    assert_is_the_walk(recording, values)
    with pytest.raises(DatasetError, match="unknown device"):
        read(tmp_path / "V009.txt", device="Xsens")


def test_time_that_contradicts_the_device_is_refused(tmp_path):
    path = write(tmp_path / "V001.txt", SECONDS)
    with pytest.raises(DatasetError, match=r"contradicts.*128 Hz"):
        read(path, device="Gaitup")


def test_a_gap_parts_the_recording(tmp_path):
    kept = np.r_[0:1000, 1500 : len(WALK)]
    recording = read(write(tmp_path / "V001.txt", SECONDS[kept]))
    assert [len(part) for part in recording.stretches] == [1000, len(WALK) - 1500]
    assert recording.verdict.gaps == 1
    assert "1 gap" in recording.verdict.line()


def test_a_last_line_cut_off_is_left_out_and_told(tmp_path):
    path = write(tmp_path / "V001.txt", WALK)
    path.write_text(path.read_text().rstrip()[:-25], encoding="utf-8")
    recording = read(path)
    assert recording.verdict.cut_off
    assert "cut off" in recording.verdict.line()
    assert_is_the_walk(recording, WALK[:-1])


def test_missing_numbers_become_missing_samples(tmp_path):
    values = WALK.copy()
    values[700:703] = np.nan
    (got,) = read(write(tmp_path / "V001.txt", values)).stretches
    assert np.flatnonzero(np.isnan(got).any(axis=1)).tolist() == [700, 701, 702]
    windows = windows_of(got, rate_hz=104.0)
    assert np.isfinite(windows).all()
    assert len(windows) == len(windows_of(WALK.astype(np.float32), rate_hz=104.0))


STILL = np.tile(WALK[:100].mean(axis=0), (1200, 1)) + 0.01 * np.sin(
    np.arange(1200)[:, None] * np.arange(1, 7)
)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (WALK[:900], "too short"),
        (WALK * np.array([0.5] * 3 + [1.0] * 3), "unit of acceleration"),
        (WALK * np.array([300.0] * 3 + [1.0] * 3), "unit of acceleration"),
        (WALK * np.array([1.0] * 3 + [1e-3] * 3), "unit of the angular rate"),
        (STILL, "cannot tell accelerometer and gyroscope apart|unit of the angular rate"),
        (WALK[:, [0, 1, 2, 0, 1, 2]], "cannot tell accelerometer"),
        (np.hstack([WALK[:, :5], TIME_S]), "time column"),
        (np.hstack([WALK, WALK[:, :1]]), "time column"),
        (np.zeros((1200, 6)), "cannot tell accelerometer"),
        (np.full((1200, 6), np.nan), "cannot tell accelerometer"),
        (np.full((1200, 6), 1e200) * np.sign(WALK[:1200]), "cannot tell"),
    ],
)
def test_numbers_that_do_not_tell_are_refused(tmp_path, values, problem):
    path = write(tmp_path / "V001_x.txt", values)
    with pytest.raises(DatasetError, match=problem) as refused:
        read(path)
    assert "V001_x.txt" in refused.value.source
    assert refused.value.next_step


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n\n",
        b"\x00" * 5000,
        bytes(range(256)) * 40,
        b"PK\x03\x04" + b"x" * 5000,
        b"1 2 3\n" * 2000,
        b"1 2 3 4 5 6 7 8\n" * 2000,
        b"1 2 3 4 5 6\n" * 3,
        b"1 2 3 4 5 6\n" * 200 + b"1 2 3 4 x 6\n" * 2000,
        b"1 2 3 4 5 6\n" * 200 + b"1 2 3 4 5 6 7\n" * 2000,
        b"1 2 3 4 5 6\n" * 200 + b"1 2 3 4 5 1e999999\n" * 2000,
        "1 2 3 4 5 6\n".encode("utf-16") * 10,
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, content):
    path = tmp_path / "V001.txt"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as refused:
        read(path)
    assert "V001.txt" in refused.value.source


CELL = st.sampled_from(
    ["1", "-2.5", "0,5", "1e3", "1e400", "nan", "inf", "x", "", "1_0", "٣", "\0"]
)
LINE = st.tuples(st.lists(CELL, max_size=9), st.sampled_from([" ", ";", ",", "\t", ", "])).map(
    lambda made: made[1].join(made[0])
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.lists(st.one_of(LINE, st.text(max_size=30)), max_size=12),
    body=st.lists(LINE, min_size=1, max_size=6),
    times=st.integers(1, 400),
    end=st.text(max_size=30),
)
def test_garbage_raises_nothing_but_dataset_errors(tmp_path, start, body, times, end):
    path = tmp_path / "V001.txt"
    text = "\n".join([*start, *(body * times), end])
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    with pytest.raises(DatasetError):
        read(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    factors=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=7, max_size=7),
    columns=st.lists(st.integers(0, 6), min_size=6, max_size=7),
)
def test_wild_numbers_raise_nothing_but_dataset_errors(tmp_path, factors, columns):
    with np.errstate(all="ignore"):
        values = (SECONDS * np.array(factors))[:1100, columns]
    path = tmp_path / "V001.txt"
    np.savetxt(path, values, fmt="%.6g")
    try:
        recording = read(path)
    except DatasetError:
        return
    assert recording.verdict.line()
    for stretch in recording.stretches:
        windows_of(stretch, rate_hz=104.0)


def test_both_layouts_and_a_flat_folder_are_found(tmp_path):
    people = (person("V001"), person("V002"))
    flat = tmp_path / "flat"
    for name in ("V001_0123.txt", "v002.CSV", "V0011.txt", "notes.txt", "V003.txt"):
        (flat / name).parent.mkdir(exist_ok=True)
        (flat / name).touch()
    assert {k: p.name for k, p in find_recordings(flat, people).items()} == {
        "V001": "V001_0123.txt",
        "V002": "v002.CSV",
    }
    both = tmp_path / "both" / "GSTRIDE"
    for folder in ("Test_recordings_raw", "Test_recordings_calibrated", "Test_outputs"):
        for name in ("V001_a.txt", "V002b.txt"):
            (both / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (both / folder / name).touch()
    found = find_recordings(tmp_path / "both", people)
    assert {path.parent.name for path in found.values()} == {"Test_recordings_calibrated"}
    for path in (both / "Test_recordings_calibrated").iterdir():
        path.unlink()
    (both / "Test_recordings_calibrated").rmdir()
    found = find_recordings(tmp_path / "both", people)
    assert {path.parent.name for path in found.values()} == {"Test_recordings_raw"}


def test_a_missing_or_doubled_recording_is_refused(tmp_path):
    (tmp_path / "V001.txt").touch()
    with pytest.raises(DatasetError, match=r"1 of 2 people.*V002") as refused:
        find_recordings(tmp_path, (person("V001"), person("V002")))
    assert "Test_recordings_raw" in refused.value.next_step
    (tmp_path / "V001_again.txt").touch()
    with pytest.raises(DatasetError, match="V001 has 2 recordings"):
        find_recordings(tmp_path, (person("V001"),))


def test_people_without_raw_data_are_told_and_left_out(caplog):
    everyone = (person("V001"), person("V142", has_recording=False), person("V003"))
    with caplog.at_level(logging.INFO, "trainer"):
        kept = recorded(everyone)
    assert [one.person for one in kept] == ["V001", "V003"]
    assert "V142 left out" in caplog.text


def test_the_register_is_found_or_refused(tmp_path):
    with pytest.raises(DatasetError, match="no register"):
        find_register(tmp_path)
    register = tmp_path / "GSTRIDE" / "Database_register.csv"
    register.parent.mkdir()
    register.touch()
    assert find_register(tmp_path) == register
    assert find_register(register) == register
    (tmp_path / "register_new.csv").touch()
    with pytest.raises(DatasetError, match="several registers"):
        find_register(tmp_path)


def test_windows_are_those_of_the_bedside(tmp_path, caplog):
    """104 Hz to 200 samples of 2 s every half second, gated, at most as many as asked for."""
    write(tmp_path / "V001_a.txt", WALK)
    people = (person("V001"),)
    with caplog.at_level(logging.INFO, "trainer"):
        (windows,) = read_windows(tmp_path, people, largest=None)
    assert "V001 V001_a.txt: 30 s at 104 Hz" in caplog.text
    assert windows.dtype == np.float32
    assert windows.shape[1:] == (6, 200)
    assert len(windows) > 20
    rms = np.sqrt((windows[:, 3:].astype(float) ** 2).sum(axis=1).mean(axis=1))
    assert rms.min() > 0.95 * CONDITIONING.min_gyr_rms_radps  # gated before resampling
    # independent of the resampler: the same 2 s, so the same mean of each axis
    starts = [
        np.abs(WALK[s : s + 208].mean(axis=0) - windows[5].mean(axis=1)).max()
        for s in range(0, len(WALK) - 207, 52)
    ]
    assert min(starts) < 0.02
    (few,) = read_windows(tmp_path, people, largest=7)
    assert len(few) == 7
    np.testing.assert_array_equal(few[[0, -1]], windows[[0, -1]])


def test_only_one_recording_is_held_at_a_time(tmp_path):
    """Reading is lazy: a bad second file is met only when its turn comes."""
    write(tmp_path / "V001.txt", WALK)
    (tmp_path / "V002.txt").write_text("nothing", encoding="utf-8")
    recordings = read_recordings(tmp_path, (person("V001"), replace(person("V002"))))
    assert next(recordings).verdict.person == "V001"
    with pytest.raises(DatasetError, match=r"V002\.txt"):
        next(recordings)
