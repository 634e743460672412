"""The sources that ``test_source_conformance`` holds to the rules; a new source adds one line.

A case's ``make`` gets an empty folder, the chunk size (None: the source's own) and returns a closed
source. A case whose ``fail`` is given can also be made so that it cannot be opened at first:
``fail`` returns a source and a function that repairs what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_app.clock import MonotonicClock
from edge_app.contracts import UNIT_UV, Chunk, StreamInfo
from edge_app.loopback import LslLoopbackSource
from edge_app.sources.opencv_camera import CameraSource
from edge_app.sources.protocol import Source
from edge_app.sources.recording.player import RecordingSource
from edge_app.sources.recording.session_format import MAGIC, pack_chunk, pack_opening
from edge_app.sources.simulated import simulated_eeg, simulated_face, simulated_imu
from tests.fake_bluez import NO_DBUS, RiggedBleSource
from tests.recording_files import (
    EdfSpec,
    XdfStreamSpec,
    edf_bytes,
    imu_rows,
    imu_text,
    write_picture,
    write_video,
)
from tests.recording_files import xdf_bytes as make_xdf

Make = Callable[[Path, int | None], Source]
Fail = Callable[[Path], tuple[Source, Callable[[], object]]]


@dataclass(frozen=True)
class SourceCase:
    """One source under test.

    Args:
        name: shown in the test's name.
        make: returns a closed source.
        fail: returns a source that cannot be opened yet, and what repairs it; None: cannot fail.
        ends: True when iteration ends by itself.
        replays: True when iterating again gives the same again.
        resizable: True when the chunk size can be chosen.
        take_samples: how many samples are compared of a source that does not end.
    """

    name: str
    make: Make
    fail: Fail | None = None
    ends: bool = True
    replays: bool = True
    resizable: bool = True
    take_samples: int = 2000


def _edf(folder: Path, chunk_samples: int | None) -> Source:
    path = folder / "night.edf"
    path.write_bytes(edf_bytes(EdfSpec()))
    return RecordingSource(path, kind="eeg", chunk_samples=chunk_samples)


def _edf_with_gap(folder: Path, chunk_samples: int | None) -> Source:
    path = folder / "gap.edf"
    onsets_s = [0, 1, 2, 3, 10, 11, 12, 13, 20.5, 21.5]
    path.write_bytes(edf_bytes(EdfSpec(onsets_s=onsets_s)))
    return RecordingSource(path, kind="eeg", chunk_samples=chunk_samples)


def _bdf(folder: Path, chunk_samples: int | None) -> Source:
    path = folder / "night.bdf"
    path.write_bytes(edf_bytes(EdfSpec(bdf=True, labels=("Fp1", "Fp2"))))
    return RecordingSource(path, kind="eeg", channel="fp2", chunk_samples=chunk_samples)


def _xdf(folder: Path, chunk_samples: int | None) -> Source:
    path = folder / "lab.xdf"
    values = np.arange(1000, dtype=np.float32)[:, np.newaxis]
    stream = XdfStreamSpec("Band", "EEG", 100.0, ["Fpz"], 50 + np.arange(1000) / 100, values)
    path.write_bytes(make_xdf([stream]))
    return RecordingSource(path, kind="eeg", chunk_samples=chunk_samples)


def _csv(folder: Path, chunk_samples: int | None) -> Source:
    path = folder / "walk.csv"
    counts = [float(k if k < 400 else k + 7) for k in range(1000)]
    text = imu_text(imu_rows(1000), preamble="Acquisition frequency: 100 Hz\n", first=counts)
    path.write_text(text)
    return RecordingSource(path, kind="imu", chunk_samples=chunk_samples)


def _video(folder: Path, chunk_samples: int | None) -> Source:
    path = write_video(folder / "clip.avi", 24)
    return RecordingSource(path, kind="video", chunk_samples=chunk_samples)


def _images(folder: Path, chunk_samples: int | None) -> Source:
    for k in range(12):
        write_picture(folder / f"face{k}.png", red=10 * k)
    return RecordingSource(folder, kind="video", chunk_samples=chunk_samples)


def _paced(folder: Path, chunk_samples: int | None) -> Source:
    source = _edf(folder, chunk_samples)
    assert isinstance(source, RecordingSource)
    return RecordingSource(folder / "night.edf", kind="eeg", chunk_samples=chunk_samples, speed=1e6)


def _missing_edf(folder: Path) -> tuple[Source, Callable[[], object]]:
    path = folder / "later.edf"
    source = RecordingSource(path, kind="eeg")
    return source, lambda: path.write_bytes(edf_bytes(EdfSpec()))


def _damaged_edf(folder: Path) -> tuple[Source, Callable[[], object]]:
    path = folder / "copied.edf"
    whole = edf_bytes(EdfSpec())
    path.write_bytes(whole[:400])
    return RecordingSource(path, kind="eeg"), lambda: path.write_bytes(whole)


def _simulated(
    make: Callable[..., Source], duration_s: float
) -> Callable[[Path, int | None], Source]:
    def build(_folder: Path, chunk_samples: int | None) -> Source:
        return make(
            name="s", seed=5, paced=False, duration_s=duration_s, chunk_samples=chunk_samples
        )

    return build


def _lsl(_folder: Path, _chunk_samples: int | None) -> Source:
    clock = MonotonicClock(speed=10.0)
    sensor = simulated_eeg(name="s", seed=5, clock=clock)
    return LslLoopbackSource(name="s", sensor=sensor)


def _camera(folder: Path, _chunk_samples: int | None) -> Source:
    return CameraSource(name="s", device=str(write_video(folder / "camera.avi", 24, rate_hz=100.0)))


def _missing_camera(folder: Path) -> tuple[Source, Callable[[], object]]:
    path = folder / "later.avi"
    return CameraSource(name="s", device=str(path)), lambda: write_video(path, 24, rate_hz=100.0)


def _session(folder: Path, chunk_samples: int | None) -> Source:
    """A recorded live stream, here of scripted chunks of unequal length."""
    info = StreamInfo("band", "eeg", 100.0, ("Fpz",), (UNIT_UV,), "test", False)
    records = [MAGIC, pack_opening(info, (), 0.0)]
    for start, stop in ((0, 400), (400, 401), (401, 1000)):
        times_s = 50.0 + np.arange(start, stop) / 100.0
        records.append(pack_chunk(Chunk(times_s, times_s.astype(np.float32)[:, None])))
    path = folder / "band.stream"
    path.write_bytes(b"".join(records))
    return RecordingSource(path, kind="eeg", chunk_samples=chunk_samples)


def _ble(_folder: Path, _chunk_samples: int | None) -> Source:
    return RiggedBleSource()


def _absent_ble(_folder: Path) -> tuple[Source, Callable[[], object]]:
    source = RiggedBleSource(in_range=False)
    return source, lambda: setattr(source, "in_range", True)


SOURCES: list[SourceCase] = [
    SourceCase("simulated-eeg", _simulated(simulated_eeg, 40.0), replays=False),
    SourceCase("simulated-imu", _simulated(simulated_imu, 20.0), replays=False),
    SourceCase("simulated-face", _simulated(simulated_face, 2.0), replays=False),
    SourceCase("lsl", _lsl, ends=False, replays=False, resizable=False, take_samples=300),
    SourceCase("edf", _edf, _damaged_edf),
    SourceCase("edf-with-gap", _edf_with_gap),
    SourceCase("bdf", _bdf),
    SourceCase("xdf", _xdf),
    SourceCase("csv", _csv),
    SourceCase("video", _video),
    SourceCase("images", _images),
    SourceCase("edf-paced", _paced, _missing_edf),
    SourceCase("session", _session, resizable=False),
    SourceCase(
        "camera-file",
        _camera,
        _missing_camera,
        ends=False,
        replays=False,
        resizable=False,
        take_samples=50,
    ),
]
if not NO_DBUS:
    SOURCES.append(
        SourceCase(
            "ble",
            _ble,
            _absent_ble,
            ends=False,
            replays=False,
            resizable=False,
            take_samples=300,
        )
    )
