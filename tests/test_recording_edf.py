"""EDF, EDF+, BDF: values, stamps, channels, units, damage."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_app.errors import SourceError
from edge_app.sources.recording.edf import EdfRecording
from edge_app.sources.recording.formats import open_recording
from tests.recording_files import EdfSpec, edf_bytes, edf_digital


def written(tmp_path: Path, spec: EdfSpec) -> Path:
    path = tmp_path / ("night.bdf" if spec.bdf else "night.edf")
    path.write_bytes(edf_bytes(spec))
    return path


OpenEdf = Callable[..., EdfRecording]


@pytest.fixture
def open_edf() -> Iterator[OpenEdf]:
    """Open recordings that the test need not close."""
    opened: list[EdfRecording] = []

    def open_one(
        path: Path, *, channel: str | None = None, unit: str | None = None
    ) -> EdfRecording:
        opened.append(EdfRecording(path, channel=channel, unit=unit))
        return opened[-1]

    yield open_one
    for recording in opened:
        recording.close()


def read(recording: EdfRecording) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(recording.chunks(333))
    recording.close()
    return (
        np.concatenate([chunk.times_s for chunk in chunks]),
        np.concatenate([chunk.samples for chunk in chunks])[:, 0],
    )


@pytest.mark.parametrize("bdf", [False, True])
def test_values_and_stamps_of_the_named_channel(
    open_edf: OpenEdf, tmp_path: Path, bdf: bool
) -> None:
    path = written(tmp_path, EdfSpec(labels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG"), bdf=bdf))
    times_s, samples = read(open_edf(path, channel="eeg PZ-OZ"))
    expected = [0.01 * edf_digital(i, 1) for i in range(1000)]
    np.testing.assert_allclose(samples, expected, atol=1e-4)
    np.testing.assert_array_equal(times_s, [i / 100 for i in range(1000)])


def test_a_negative_24_bit_number_keeps_its_sign(open_edf: OpenEdf, tmp_path: Path) -> None:
    spec = EdfSpec(bdf=True, digital=(-8388608, 8388607), physical=("-8388608", "8388607"))
    _, samples = read(open_edf(written(tmp_path, spec)))
    np.testing.assert_array_equal(samples[:3], [-500, -499, -498])


@pytest.mark.parametrize("make", ["edf", "bdf"])
def test_a_file_by_edfio_reads_as_edfio_reads_it(
    open_edf: OpenEdf, tmp_path: Path, make: str
) -> None:
    rng = np.random.default_rng(3)
    signals = {"F3-A2": 256, "EMG chin": 512}
    kinds = {"edf": (edfio.Edf, edfio.EdfSignal), "bdf": (edfio.Bdf, edfio.BdfSignal)}
    whole, one = kinds[make]
    made = [
        one(rng.normal(0, 30, 20 * rate), rate, label=label, physical_dimension="uV")
        for label, rate in signals.items()
    ]
    path = tmp_path / f"made.{make}"
    recording = edfio.Recording(startdate=datetime.date(2020, 2, 3))
    whole(
        made, recording=recording, starttime=datetime.time(22, 30, 1, 250_000), annotations=()
    ).write(path)
    opened = open_edf(path)
    _, samples = read(opened)
    np.testing.assert_allclose(samples, made[0].data, atol=2e-5)
    assert opened.info.channels == ("F3-A2",)
    assert opened.info.rate_hz == 256
    start = datetime.datetime(2020, 2, 3, 22, 30, 1, 250_000, tzinfo=datetime.timezone.utc)
    assert opened.info.start_unix_s == pytest.approx(start.timestamp(), abs=1e-6)


def test_the_real_excerpt_equals_its_text_form(open_edf: OpenEdf, data_dir: Path) -> None:
    raw = data_dir / "sleep/raw"
    recording = open_edf(raw / "excerpt3.edf", channel="C3-A1")
    _, samples = read(recording)
    np.testing.assert_allclose(samples[:4], [11.182, 5.139, 7.390, 3.468], atol=5e-4)
    text = np.loadtxt(raw / "excerpt3.txt", skiprows=1)
    assert samples.shape == text.shape == (90_000,)
    np.testing.assert_allclose(samples, text, atol=1e-4)
    assert recording.info.rate_hz == 50
    assert recording.duration_s == 1800
    assert "unit 'UV' of C3-A1 taken as microvolts" in recording.assumptions
    start = datetime.datetime(2003, 11, 17, 3, 27, tzinfo=datetime.timezone.utc)
    assert recording.info.start_unix_s == start.timestamp()


def test_without_a_name_the_frontal_electrode_of_the_real_excerpt_is_chosen(
    open_edf: OpenEdf,
    data_dir: Path,
) -> None:
    recording = open_edf(data_dir / "sleep/raw/excerpt3.edf")
    assert recording.info.channels == ("FP1-A1",)
    said = [sentence for sentence in recording.assumptions if "FP1-A1 chosen" in sentence]
    assert len(said) == 1
    assert "--channel" in said[0]
    assert "C3-A1, O1-A1" in said[0]


@pytest.mark.parametrize(
    ("labels", "best"),
    [
        (("EOG Fp1", "EEG O1-M2", "EEG C4-M1", "ECG"), "EEG C4-M1"),
        (("EEG Pz-Oz", "EEG Fpz-Cz", "EOG horizontal"), "EEG Fpz-Cz"),
        (("C3M2", "F4M1", "E1"), "F4M1"),
        (("EEG Fz", "EEG:Fp2"), "EEG:Fp2"),
    ],
)
def test_rank_of_electrodes(
    open_edf: OpenEdf, tmp_path: Path, labels: tuple[str, ...], best: str
) -> None:
    recording = open_edf(written(tmp_path, EdfSpec(labels=labels)))
    assert recording.info.channels == (best,)


@pytest.mark.parametrize("channel", ["Fz", None])
def test_a_channel_that_is_not_there_lists_those_that_are(
    open_edf: OpenEdf, tmp_path: Path, channel: str | None
) -> None:
    path = written(tmp_path, EdfSpec(labels=("EOG left", "EMG chin", "ECG")))
    with pytest.raises(SourceError) as caught:
        open_edf(path, channel=channel)
    assert "EOG left (100 Hz, uV), EMG chin (100 Hz, uV), ECG (100 Hz, uV)" in str(caught.value)
    assert "--channel" in caught.value.next_step


def test_two_channels_of_one_name_are_not_guessed(open_edf: OpenEdf, tmp_path: Path) -> None:
    path = written(tmp_path, EdfSpec(labels=("C3", "C3")))
    with pytest.raises(SourceError, match="2 channels 'c3'"):
        open_edf(path, channel="c3")


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        (b"uV", 1),
        ("µV".encode("latin-1"), 1),
        ("µV".encode(), 1),
        ("μV".encode(), 1),
        (b"mV", 1e3),
        (b"V", 1e6),
        (b"nV", 1e-3),
        (b"uv", 1),
    ],
)
def test_units_become_microvolts(
    open_edf: OpenEdf, tmp_path: Path, unit: bytes, factor: float
) -> None:
    _, samples = read(open_edf(written(tmp_path, EdfSpec(unit=unit))))
    assert samples[0] == pytest.approx(-5.0 * factor, rel=1e-5)


@pytest.mark.parametrize("unit", [b"", b"MV"])
def test_an_unclear_unit_is_refused_and_the_option_cures_it(
    open_edf: OpenEdf, tmp_path: Path, unit: bytes
) -> None:
    path = written(tmp_path, EdfSpec(unit=unit))
    with pytest.raises(SourceError, match="--unit"):
        open_edf(path)
    recording = open_edf(path, unit="mV")
    assert any("--unit" in sentence for sentence in recording.assumptions)
    assert read(recording)[1][0] == pytest.approx(-5000, rel=1e-5)


def test_an_option_that_is_no_voltage_is_refused(open_edf: OpenEdf, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--unit names a unit that is not clear"):
        open_edf(written(tmp_path, EdfSpec()), unit="furlong")


def test_a_discontinuous_file_shows_its_gaps(open_edf: OpenEdf, tmp_path: Path) -> None:
    onsets_s = [0.5, 1.5, 10.5, 11.5]
    recording = open_edf(written(tmp_path, EdfSpec(n_records=4, onsets_s=onsets_s)))
    times_s, samples = read(recording)
    expected = np.concatenate([onset - 0.5 + np.arange(100) / 100 for onset in onsets_s])
    np.testing.assert_allclose(times_s, expected, atol=1e-9)
    assert samples.shape == (400,)
    assert recording.duration_s == pytest.approx(12.0)
    header = datetime.datetime(2021, 3, 2, 19, 4, 5, tzinfo=datetime.timezone.utc)
    assert recording.info.start_unix_s == header.timestamp() + 0.5


def test_a_discontinuous_file_without_record_times_is_refused(
    open_edf: OpenEdf, tmp_path: Path
) -> None:
    whole = edf_bytes(EdfSpec(n_records=4, onsets_s=[0, 1, 2, 3]))
    path = tmp_path / "night.edf"
    path.write_bytes(whole.replace(b"+2\x14\x14", b"\0\0\0\0"))
    with pytest.raises(SourceError, match="data record 2 does not say when"):
        open_edf(path)


def test_a_cut_off_file_gives_its_whole_records_and_says_so(
    open_edf: OpenEdf, tmp_path: Path
) -> None:
    whole = edf_bytes(EdfSpec())
    path = tmp_path / "night.edf"
    path.write_bytes(whole[: 512 + 6 * 200 + 77])
    recording = open_edf(path)
    _, samples = read(recording)
    np.testing.assert_allclose(samples, [0.01 * edf_digital(i, 0) for i in range(600)], atol=1e-4)
    assert any("6 of 10 data records" in sentence for sentence in recording.assumptions)


def test_an_open_number_of_records_is_counted(open_edf: OpenEdf, tmp_path: Path) -> None:
    recording = open_edf(written(tmp_path, EdfSpec(stated_records=-1)))
    assert recording.duration_s == 10
    assert any("10 are there" in sentence for sentence in recording.assumptions)


def test_a_file_without_a_whole_record_is_refused(open_edf: OpenEdf, tmp_path: Path) -> None:
    path = tmp_path / "night.edf"
    path.write_bytes(edf_bytes(EdfSpec())[: 512 + 199])
    with pytest.raises(SourceError, match="first whole data record"):
        open_edf(path)


@pytest.mark.parametrize(
    "start", [b"                ", b"00.00.0000.00.00", b"99.99.9999.99.99", b"xx.xx.xxxx.xx.xx"]
)
def test_a_missing_date_leaves_the_start_open(
    open_edf: OpenEdf, tmp_path: Path, start: bytes
) -> None:
    recording = open_edf(written(tmp_path, EdfSpec(start=start)))
    assert recording.info.start_unix_s is None
    assert any("start date" in sentence for sentence in recording.assumptions)


def test_an_anonymous_date_is_no_date(open_edf: OpenEdf, tmp_path: Path) -> None:
    spec = EdfSpec(start=b"01.01.8522.00.00", recording=b"Startdate X X X X")
    assert open_edf(written(tmp_path, spec)).info.start_unix_s is None


def test_a_simulated_recording_is_called_simulated(open_edf: OpenEdf, tmp_path: Path) -> None:
    spec = EdfSpec(recording=b"Startdate 02-MAR-2021 X X Bedside_simulated")
    assert open_edf(written(tmp_path, spec)).info.simulated
    assert not open_edf(written(tmp_path, EdfSpec())).info.simulated


@pytest.mark.parametrize(
    "change",
    [
        {"record_s": "0"},
        {"record_s": "nan"},
        {"record_s": "x"},
        {"digital": (7, 7)},
        {"physical": ("1", "1")},
        {"physical": ("a", "b")},
        {"per_record": 0},
    ],
)
def test_a_header_that_makes_no_sense_is_refused(
    open_edf: OpenEdf, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(SourceError):
        open_edf(written(tmp_path, replace(EdfSpec(), **change)))


def test_a_file_that_shrinks_while_it_is_read_is_reported(
    open_edf: OpenEdf, tmp_path: Path
) -> None:
    path = written(tmp_path, EdfSpec(n_records=2000))
    recording = open_edf(path)
    chunks = recording.chunks()
    next(chunks)
    os.truncate(path, 1000)
    with pytest.raises(SourceError, match="has become shorter"):
        list(chunks)


def test_only_a_little_of_a_file_with_many_channels_is_in_memory(
    open_edf: OpenEdf, tmp_path: Path
) -> None:
    import tracemalloc

    labels = tuple(f"E{k}" for k in range(60))
    head = edf_bytes(EdfSpec(labels=labels, per_record=256, n_records=0, stated_records=3600))
    path = tmp_path / "wide.edf"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 3600 * 60 * 512)  # 110 MB, without holes read
    tracemalloc.start()
    recording = open_edf(path, channel="E59")
    n = sum(chunk.times_s.shape[0] for chunk in recording.chunks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 3600 * 256
    assert peak < 15e6


def test_records_longer_than_a_block_read_the_same(open_edf: OpenEdf, tmp_path: Path) -> None:
    spec = EdfSpec(labels=("C3", "C4"), per_record=1_200_000, record_s="12000", n_records=2)
    path = tmp_path / "long.edf"
    header = edf_bytes(replace(spec, n_records=0, stated_records=2))
    rng = np.random.default_rng(0)
    digital = rng.integers(-1000, 1000, (2, 2, 1_200_000)).astype("<i2")
    path.write_bytes(header + digital.tobytes())
    _, samples = read(open_edf(path, channel="C4"))
    np.testing.assert_allclose(samples, 0.01 * digital[:, 1].reshape(-1), atol=1e-4)


WHOLE = edf_bytes(EdfSpec(n_records=3, onsets_s=[0, 1, 5], labels=("EEG Fpz-Cz", "EOG")))


def opens_or_refuses(path: Path) -> None:
    """Hold the rule: a valid recording or a SourceError, never another exception."""
    try:
        recording = open_recording(path, kind="eeg", channel="EEG Fpz-Cz")
    except SourceError:
        return
    n = sum(chunk.times_s.shape[0] for chunk in recording.chunks(50))
    assert n > 0
    assert recording.duration_s > 0
    recording.close()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(length=st.integers(0, len(WHOLE)))
def test_cut_at_any_byte(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.edf"
    path.write_bytes(WHOLE[:length])
    opens_or_refuses(path)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    where=st.integers(8, 256 * 4),
    what=st.one_of(
        st.binary(min_size=1, max_size=12),
        st.text("0123456789-+. eE", min_size=1, max_size=8).map(str.encode),
    ),
)
def test_damaged_at_any_place_of_the_header(tmp_path: Path, where: int, what: bytes) -> None:
    path = tmp_path / "damaged.edf"
    damaged = WHOLE[:where] + what + WHOLE[where + len(what) :]
    path.write_bytes(damaged)
    opens_or_refuses(path)


@pytest.mark.parametrize("unit", [None, "uV"])
def test_a_channel_that_is_no_voltage_is_refused_whatever_the_option(
    tmp_path: Path, unit: str | None
) -> None:
    path = tmp_path / "night.edf"
    path.write_bytes(edf_bytes(EdfSpec(labels=("EEG Fpz", "SaO2"), unit=b"%")))
    with pytest.raises(SourceError, match="SaO2 is no EEG: it is in %"):
        EdfRecording(path, channel="SaO2", unit=unit)
