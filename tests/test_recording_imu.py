"""IMU text files: columns, units, stamps, lost packets, damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_app.errors import SourceError
from edge_app.sources.recording.csv_imu import CsvImuRecording
from edge_app.sources.recording.imu_columns import ColumnMap
from tests.recording_files import AXES, G_MPS2, imu_rows, imu_text

RATE = "Acquisition frequency: 100 Hz\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "walk.csv"
    path.write_text(text, encoding="utf-8")
    return path


def read(recording: CsvImuRecording) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(recording.chunks(50))
    return (
        np.concatenate([chunk.times_s for chunk in chunks]),
        np.concatenate([chunk.samples for chunk in chunks]),
    )


def test_a_real_walk_with_lost_packets_shows_them_as_jumps(data_dir: Path) -> None:
    path = data_dir / "gait/imu_walks/15-3_lf.txt"
    recording = CsvImuRecording(path)
    times_s, samples = read(recording)
    table = np.genfromtxt(path, skip_header=2)
    np.testing.assert_allclose(times_s, (table[:, 0] - 1) / 100, atol=1e-9)
    np.testing.assert_allclose(samples, table[:, 1:7], rtol=1e-6)
    assert recording.info.rate_hz == 100
    lost = int(table[-1, 0] - table[0, 0]) + 1 - len(table)
    assert lost > 0
    assert any(f"{lost} packets lost" in sentence for sentence in recording.assumptions)
    assert recording.duration_s == pytest.approx((len(table) + lost) / 100)


def test_all_real_walks_are_taken_as_si_units(data_dir: Path) -> None:
    paths = sorted((data_dir / "gait/imu_walks").glob("*.txt"))
    assert len(paths) == 72
    for path in paths:
        said = " ".join(CsvImuRecording(path).assumptions)
        assert "acceleration taken as m/s^2" in said, path
        assert "angular rate taken as rad/s" in said, path


@pytest.mark.parametrize("delimiter", [",", "\t", ";", " ", ", "])
@pytest.mark.parametrize(
    "names",
    [
        AXES,
        ("ax", "ay", "az", "gx", "gy", "gz"),
        ("AccelerometerX", "AccelerometerY", "AccelerometerZ", "GyroX", "GyroY", "GyroZ"),
        ('"acc_x"', '"acc_y"', '"acc_z"', '"gyr_x"', '"gyr_y"', '"gyr_z"'),
    ],
)
def test_usual_names_and_delimiters(tmp_path: Path, delimiter: str, names: list[str]) -> None:
    rows = imu_rows(30)
    path = written(tmp_path, RATE + "\n" + imu_text(rows, names=names, delimiter=delimiter))
    times_s, samples = read(CsvImuRecording(path))
    np.testing.assert_allclose(samples, rows, rtol=1e-6)
    np.testing.assert_array_equal(times_s, [k / 100 for k in range(30)])


def test_decimal_commas(tmp_path: Path) -> None:
    rows = imu_rows(5)
    text = imu_text(rows, delimiter=";").replace(".", ",")
    path = written(tmp_path, text)
    np.testing.assert_allclose(read(CsvImuRecording(path, rate_hz=50))[1], rows, rtol=1e-6)


def test_columns_named_by_hand_in_any_order(tmp_path: Path) -> None:
    rows = imu_rows(10)
    names = ["c", "b", "a", "f", "e", "d"]
    path = written(tmp_path, imu_text(rows, names=names))
    with pytest.raises(SourceError, match="missing column"):
        CsvImuRecording(path, rate_hz=100)
    wanted = ColumnMap(("c", "b", "a", "f", "e", "d"))
    np.testing.assert_allclose(
        read(CsvImuRecording(path, rate_hz=100, columns=wanted))[1], rows, rtol=1e-6
    )
    with pytest.raises(SourceError, match=r"missing columns: zz"):
        CsvImuRecording(path, rate_hz=100, columns=ColumnMap(("zz", "b", "a", "f", "e", "d")))


def test_a_missing_column_is_named_beside_those_seen(tmp_path: Path) -> None:
    names = ["acc_x", "acc_y", "acc_z", "gyr_x", "gyr_z"]
    path = written(tmp_path, imu_text(imu_rows(5)[:, :5], names=names))
    with pytest.raises(SourceError) as caught:
        CsvImuRecording(path, rate_hz=100)
    assert "missing columns: gyr_y" in str(caught.value)
    assert "acc_x, acc_y, acc_z, gyr_x, gyr_z" in str(caught.value.got)


def test_a_file_of_numbers_alone_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "1,2,3,4,5,6\n7,8,9,10,11,12\n")
    with pytest.raises(SourceError, match="no line of column names"):
        CsvImuRecording(path, rate_hz=100)


@pytest.mark.parametrize(
    ("scale", "unit", "in_name"),
    [(1.0, None, ""), (G_MPS2, None, ""), (G_MPS2 / 1000, "mg", ""), (G_MPS2 / 1000, None, "mg")],
)
def test_units_of_acceleration(
    tmp_path: Path, scale: float, unit: str | None, in_name: str
) -> None:
    rows = imu_rows(40)
    stored = rows.copy()
    stored[:, :3] /= scale
    names = [f"{n} [{in_name}]" if in_name and n.startswith("Acc") else n for n in AXES]
    path = written(tmp_path, imu_text(stored, names=names))
    recording = CsvImuRecording(path, rate_hz=100, unit=unit)
    np.testing.assert_allclose(read(recording)[1], rows, rtol=1e-5)
    guessed = any("acceleration taken as" in sentence for sentence in recording.assumptions)
    assert guessed == (unit is None and not in_name)


@pytest.mark.parametrize(
    ("peak", "option", "expected"),
    [
        (10.0, None, 10.0),
        (300.0, None, np.deg2rad(300)),
        (50.0, "deg/s", np.deg2rad(50)),
        (50.0, "rad/s", 50.0),
    ],
)
def test_units_of_the_angular_rate(
    tmp_path: Path, peak: float, option: str | None, expected: float
) -> None:
    rows = imu_rows(40)
    rows[:, 4] = peak
    path = written(tmp_path, imu_text(rows))
    _, samples = read(CsvImuRecording(path, rate_hz=100, gyr_unit=option))
    np.testing.assert_allclose(samples[:, 4], expected, rtol=1e-6)


def test_numbers_that_do_not_tell_the_unit_are_refused(tmp_path: Path) -> None:
    rows = imu_rows(40)
    rows[:, 2] = 3.0
    with pytest.raises(SourceError, match="--unit"):
        CsvImuRecording(written(tmp_path, imu_text(rows)), rate_hz=100)
    rows = imu_rows(40)
    rows[:, 4] = 50.0
    with pytest.raises(SourceError, match="--gyr-unit"):
        CsvImuRecording(written(tmp_path, imu_text(rows)), rate_hz=100)
    with pytest.raises(SourceError, match="unknown unit 'parsec'"):
        CsvImuRecording(written(tmp_path, imu_text(imu_rows(9))), rate_hz=100, unit="parsec")


def test_a_unit_option_against_the_file_is_obeyed_and_said(tmp_path: Path) -> None:
    names = ["AccX (g)", *AXES[1:]]
    path = written(tmp_path, imu_text(imu_rows(9), names=names))
    recording = CsvImuRecording(path, rate_hz=100, unit="m/s^2")
    np.testing.assert_allclose(read(recording)[1], imu_rows(9), rtol=1e-6)
    assert any("the file says 'g'" in sentence for sentence in recording.assumptions)


@pytest.mark.parametrize("name", ["time", "time_ms", "Timestamp (us)", "t_ns"])
def test_a_time_column_gives_stamps_and_rate(tmp_path: Path, name: str) -> None:
    k = np.arange(300)
    true_s = 5.0 + k / 128 + np.where(k >= 200, 40 / 128, 0)
    scale = {"time": 1, "time_ms": 1e3, "Timestamp (us)": 1e6, "t_ns": 1e9}[name]
    text = imu_text(imu_rows(300), first=(true_s * scale).tolist(), first_name=name)
    recording = CsvImuRecording(written(tmp_path, text))
    np.testing.assert_allclose(read(recording)[0], true_s - 5.0, atol=1e-6)
    assert recording.info.rate_hz == 128


def test_whole_milliseconds_still_give_the_true_rate(tmp_path: Path) -> None:
    stamps_ms = [float(int(k * 1000 / 128)) for k in range(1000)]
    text = imu_text(imu_rows(1000), first=stamps_ms, first_name="timestamp")
    recording = CsvImuRecording(written(tmp_path, text))
    assert recording.info.rate_hz == 128
    assert any("taken as ms" in sentence for sentence in recording.assumptions)


def test_a_time_that_contradicts_the_rate_or_stands_still_is_refused(tmp_path: Path) -> None:
    text = imu_text(imu_rows(50), first=[k / 100 for k in range(50)], first_name="time_s")
    with pytest.raises(SourceError, match="contradicts"):
        CsvImuRecording(written(tmp_path, text), rate_hz=50)
    text = imu_text(imu_rows(50), first=[4.0] * 50, first_name="time_s")
    with pytest.raises(SourceError, match="does not run forward"):
        CsvImuRecording(written(tmp_path, text))


@pytest.mark.parametrize("step", [1e-300, 1e306])
def test_a_time_beyond_reason_is_refused(tmp_path: Path, step: float) -> None:
    text = imu_text(imu_rows(50), first=[k * step for k in range(50)], first_name="time_s")
    with pytest.raises(SourceError, match="time column"):
        CsvImuRecording(written(tmp_path, text))


def test_without_any_rate_the_option_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, imu_text(imu_rows(5)))
    with pytest.raises(SourceError, match="--rate-hz"):
        CsvImuRecording(path)
    recording = CsvImuRecording(path, rate_hz=40)
    np.testing.assert_array_equal(read(recording)[0], [0, 1 / 40, 2 / 40, 3 / 40, 4 / 40])
    assert any("evenly spaced" in sentence for sentence in recording.assumptions)


@pytest.mark.parametrize("end", [256, 65_536])
def test_a_counter_that_overflows_runs_on(tmp_path: Path, end: int) -> None:
    counts = [float((end - 20 + k + (3 if k >= 30 else 0)) % end) for k in range(60)]
    text = imu_text(imu_rows(60), preamble=RATE, first=counts)
    times_s, _ = read(CsvImuRecording(written(tmp_path, text)))
    np.testing.assert_allclose(times_s, [(k + (3 if k >= 30 else 0)) / 100 for k in range(60)])


def test_a_counter_that_counts_something_else_is_refused(tmp_path: Path) -> None:
    text = imu_text(imu_rows(60), preamble=RATE, first=[float(10 * k) for k in range(60)])
    with pytest.raises(SourceError, match="does not count single packets"):
        CsvImuRecording(written(tmp_path, text))


def test_a_patient_who_is_mostly_still_does_not_hide_deg_per_second(tmp_path: Path) -> None:
    """An hour of rest and half a minute of walking: the fastest moments tell, not the 99 %."""
    rows = imu_rows(36_000)
    rows[:, 0], rows[:, 3:] = 0.0, 0.5
    rows[1000:1300, 4] = 250.0
    text = imu_text(rows, preamble="Acquisition frequency: 100 Hz\n")
    recording = CsvImuRecording(written(tmp_path, text))
    _, samples = read(recording)
    assert any("deg/s" in said for said in recording.assumptions)
    assert samples[1100, 4] == pytest.approx(250.0 * np.pi / 180)


@pytest.mark.parametrize("first", [[*range(60), *range(40)], [*range(100, 160), *range(119, 159)]])
def test_a_counter_that_goes_back_is_refused_at_its_row(tmp_path: Path, first: list[int]) -> None:
    text = imu_text(imu_rows(100), preamble="Rate: 100 Hz\n", first=[float(k) for k in first])
    with pytest.raises(SourceError, match="goes back at row 61"):
        CsvImuRecording(written(tmp_path, text), rate_hz=100.0)


def test_a_time_that_goes_back_is_refused_at_its_row(tmp_path: Path) -> None:
    times_s = [k / 100 for k in (*range(60), *range(20, 60))]
    text = imu_text(imu_rows(100), first=times_s, first_name="time_s")
    with pytest.raises(SourceError, match="time column goes back at row 61"):
        CsvImuRecording(written(tmp_path, text))


def test_decimal_commas_after_a_row_of_whole_numbers(tmp_path: Path) -> None:
    text = imu_text(imu_rows(300), delimiter=";").replace(".", ",")
    head, _, rest = text.split("\n", 2)
    whole = ";".join(["0", "0", "10", "0", "1", "0"])
    recording = CsvImuRecording(written(tmp_path, f"{head}\n{whole}\n{rest}"), rate_hz=100.0)
    assert len(read(recording)[1]) == 300


def test_a_line_cut_off_at_the_end_of_a_block_is_left_out_too(tmp_path: Path) -> None:
    text = imu_text(imu_rows(20_000))[:-1]
    path = written(tmp_path, text[: text.rindex(",")])
    recording = CsvImuRecording(path, rate_hz=100.0, unit="m/s^2")
    assert len(read(recording)[1]) == 19_999
    assert any("cut off" in said for said in recording.assumptions)


def test_nan_inf_and_empty_cells_pass_as_nan(tmp_path: Path) -> None:
    lines = imu_text(imu_rows(10)).splitlines()
    lines[3] = "nan,inf,-inf,1e300,,0.1"
    recording = CsvImuRecording(written(tmp_path, "\n".join(lines) + "\n"), rate_hz=100)
    _, samples = read(recording)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples[2], [np.nan] * 5 + [0.1], rtol=1e-6)
    assert np.isfinite(np.delete(samples, 2, axis=0)).all()


def test_a_cell_that_is_no_number_is_named_by_line_and_column(tmp_path: Path) -> None:
    lines = (RATE + imu_text(imu_rows(30_000))).splitlines()
    lines[25_000] = "1,2,9.8,oops,5,6"
    with pytest.raises(SourceError, match=r"line 25001, column Gyr_X: not a number.*'oops'"):
        CsvImuRecording(written(tmp_path, "\n".join(lines)))
    lines[25_000] = "1,2"
    with pytest.raises(SourceError, match="line 25001 has too few cells"):
        CsvImuRecording(written(tmp_path, "\n".join(lines)))


def test_a_last_line_that_is_cut_off_is_left_out_and_said(tmp_path: Path) -> None:
    text = imu_text(imu_rows(20))
    cut = text[: text.rstrip().rindex(",")]
    recording = CsvImuRecording(written(tmp_path, cut), rate_hz=100)
    assert read(recording)[1].shape == (19, 6)
    assert any("line, 21, is cut off" in sentence for sentence in recording.assumptions)


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no rows"):
        CsvImuRecording(written(tmp_path, ",".join(AXES) + "\n"), rate_hz=100)


def test_a_long_file_is_read_whole_across_blocks(tmp_path: Path) -> None:
    rows = imu_rows(45_000) % 11
    rows[:, 2] = G_MPS2
    path = written(tmp_path, imu_text(rows))
    _, samples = read(CsvImuRecording(path, rate_hz=100, unit="m/s^2"))
    np.testing.assert_allclose(samples, rows, rtol=1e-5)


CELLS = st.one_of(
    st.sampled_from(
        ["", "nan", "inf", "1e400", "3e38", "1e308", "0x10", "1_0", "9.81", "-1", '"', "#", "acc_x"]
    ),
    st.text(max_size=6),
)
ROWS = st.lists(st.lists(CELLS, max_size=8), max_size=8)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    preamble=st.sampled_from(["", RATE, "rate\n", "\n\n", "\ufeff"]),
    names=st.one_of(st.just(list(AXES)), st.lists(st.sampled_from([*AXES, "time", "x", "seq"]))),
    delimiter=st.sampled_from([",", ";", "\t", " ", "|"]),
    rows=st.one_of(ROWS, st.just([["0", "0", "9.8", "0", "0.1", "0"]] * 4)),
    end=st.sampled_from(["", "\n", "\r\n", "\r"]),
    rate_hz=st.sampled_from([None, 100.0]),
)
def test_whatever_the_text_is_it_opens_or_is_refused(
    tmp_path: Path,
    preamble: str,
    names: list[str],
    delimiter: str,
    rows: list[list[str]],
    end: str,
    rate_hz: float | None,
) -> None:
    path = tmp_path / "wild.csv"
    body = (end or "\n").join(delimiter.join(row) for row in [names, *rows]) + end
    path.write_bytes((preamble + body).encode("utf-8", "surrogatepass"))
    try:
        recording = CsvImuRecording(path, rate_hz=rate_hz)
    except SourceError:
        return
    times_s, samples = read(recording)
    assert len(times_s) == len(samples) > 0
    assert np.isfinite(times_s).all()
    assert not np.isinf(samples).any()


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(min_size=1, max_size=300))
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError):
        CsvImuRecording(path, rate_hz=100)
