"""XDF: stream and channel choice, stamps, units, damage."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_app.errors import SourceError
from edge_app.sources.recording.formats import open_recording
from edge_app.sources.recording.protocol import Recording
from tests.recording_files import AXES, XdfStreamSpec, imu_rows, xdf_bytes

STAMPS_S = 1000 + np.arange(200) / 100
STAMPS_S[120:] += 3.0  # a gap


def eeg(name: str = "Band", *, unit: str = "microvolts", simulated: bool = False) -> XdfStreamSpec:
    values = np.stack([np.arange(200), 1000 + np.arange(200)], axis=1).astype(np.float32)
    return XdfStreamSpec(
        name, "EEG", 100.0, ["TP9", "Fp1"], STAMPS_S, values, unit=unit, simulated=simulated
    )


def markers() -> XdfStreamSpec:
    return XdfStreamSpec("Taps", "EEG", 0.0, ["taps"], np.array([1000.5, 1001.0]))


def imu(name: str = "Foot") -> XdfStreamSpec:
    values = imu_rows(200)[:, ::-1].astype(np.float32)
    return XdfStreamSpec(name, "IMU", 100.0, AXES[::-1], STAMPS_S, values, unit="")


def opened(
    tmp_path: Path,
    content: bytes,
    kind: Literal["eeg", "imu"] = "eeg",
    *,
    channel: str | None = None,
    unit: str | None = None,
    rate_hz: float | None = None,
) -> Recording:
    path = tmp_path / "lab.xdf"
    path.write_bytes(content)
    return open_recording(path, kind=kind, channel=channel, unit=unit, rate_hz=rate_hz)


def read(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(recording.chunks(33))
    return (
        np.concatenate([chunk.times_s for chunk in chunks]),
        np.concatenate([chunk.samples for chunk in chunks]),
    )


def test_the_frontal_channel_of_the_eeg_stream_with_its_raw_stamps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = opened(tmp_path, xdf_bytes([markers(), imu(), eeg()]))
    assert caplog.records == []
    times_s, samples = read(recording)
    np.testing.assert_allclose(times_s, STAMPS_S - 1000, atol=1e-9)
    np.testing.assert_array_equal(samples[:, 0], 1000 + np.arange(200))
    assert recording.info.channels == ("Fp1",)
    assert recording.info.rate_hz == 100
    assert not recording.info.simulated
    start = datetime.datetime(2021, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    assert recording.info.start_unix_s == start.timestamp()
    assert recording.duration_s == pytest.approx(5.0)


def test_an_imu_stream_in_the_contract_s_order(tmp_path: Path) -> None:
    recording = opened(tmp_path, xdf_bytes([eeg(), imu()]), "imu")
    _, samples = read(recording)
    np.testing.assert_allclose(samples, imu_rows(200), rtol=1e-6)
    assert any("m/s^2" in sentence for sentence in recording.assumptions)


@pytest.mark.parametrize(
    ("unit", "factor"), [("microvolts", 1), ("uV", 1), ("µV", 1), ("mV", 1e3), ("volts", 1e6)]
)
def test_units_become_microvolts(tmp_path: Path, unit: str, factor: float) -> None:
    recording = opened(tmp_path, xdf_bytes([eeg(unit=unit)]), channel="tp9")
    assert read(recording)[1][7, 0] == pytest.approx(7 * factor)


def test_a_missing_unit_names_the_option(tmp_path: Path) -> None:
    content = xdf_bytes([eeg(unit="")])
    with pytest.raises(SourceError, match="--unit"):
        opened(tmp_path, content)
    assert read(opened(tmp_path, content, unit="mV"))[1][1, 0] == 1001e3


def test_several_streams_are_listed_and_one_can_be_named(tmp_path: Path) -> None:
    content = xdf_bytes([eeg("Left"), eeg("Right", simulated=True), imu("A"), imu("B")])
    with pytest.raises(SourceError) as caught:
        opened(tmp_path, content)
    assert "Left (type EEG, 100 Hz: TP9, Fp1)" in str(caught.value)
    assert "STREAM/CHANNEL" in caught.value.next_step
    assert opened(tmp_path, content, channel="right/fp1").info.simulated
    with pytest.raises(SourceError, match="2 IMU"):
        opened(tmp_path, content, "imu")
    assert read(opened(tmp_path, content, "imu", channel="b"))[1].shape == (200, 6)


def test_no_fitting_stream_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"Taps \(type EEG, 0 Hz: taps\)"):
        opened(tmp_path, xdf_bytes([markers()]))
    with pytest.raises(SourceError, match="no stream at all"):
        opened(tmp_path, xdf_bytes([]))


def test_an_imu_without_gyroscope_names_what_lacks(tmp_path: Path) -> None:
    spec = imu()
    spec.labels, spec.values = AXES[:3], spec.values[:, :3]
    with pytest.raises(SourceError, match=r"lacks channels: gyr_x, gyr_y, gyr_z"):
        opened(tmp_path, xdf_bytes([spec]), "imu")


def test_an_irregular_stream_needs_a_rate(tmp_path: Path) -> None:
    spec = eeg()
    spec.rate_hz = 0
    with pytest.raises(SourceError, match="--rate-hz"):
        opened(tmp_path, xdf_bytes([spec]))
    assert opened(tmp_path, xdf_bytes([spec]), rate_hz=100).info.rate_hz == 100


def test_a_stream_without_samples_is_refused(tmp_path: Path) -> None:
    spec = eeg()
    spec.stamps_s = spec.stamps_s[:0]
    with pytest.raises(SourceError, match="no samples"):
        opened(tmp_path, xdf_bytes([spec]))


def test_a_gzipped_file_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "lab.xdfz"
    path.write_bytes(gzip.compress(xdf_bytes([eeg()])))
    assert read(open_recording(path, kind="eeg"))[1].shape == (200, 1)
    path.write_bytes(gzip.compress(xdf_bytes([eeg()]))[:-200])
    with pytest.raises(SourceError):
        open_recording(path, kind="eeg")


def test_a_cut_off_file_gives_its_whole_chunks_and_says_so(tmp_path: Path) -> None:
    recording = opened(tmp_path, xdf_bytes([eeg()])[:-30])
    assert read(recording)[1].shape == (190, 1)
    assert any("cut off" in sentence for sentence in recording.assumptions)


WHOLE = xdf_bytes([eeg(), markers()])


def test_nan_and_inf_pass_as_nan(tmp_path: Path) -> None:
    spec = eeg(unit="V")
    spec.values[3:6, 1] = [np.nan, np.inf, 3e38]
    _, samples = read(opened(tmp_path, xdf_bytes([spec])))
    assert np.flatnonzero(np.isnan(samples[:, 0])).tolist() == [3, 4, 5]
    assert not np.isinf(samples).any()


def opens_or_refuses(tmp_path: Path, content: bytes) -> None:
    try:
        recording = opened(tmp_path, content)
    except SourceError:
        return
    assert read(recording)[0].size > 0


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(length=st.integers(4, len(WHOLE)))
def test_cut_at_any_byte(tmp_path: Path, length: int) -> None:
    opens_or_refuses(tmp_path, WHOLE[:length])


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(where=st.integers(4, len(WHOLE) - 1), what=st.binary(min_size=1, max_size=6))
def test_damaged_at_any_place(tmp_path: Path, where: int, what: bytes) -> None:
    opens_or_refuses(tmp_path, WHOLE[:where] + what + WHOLE[where + len(what) :])
