"""Which reader opens which file, and what is said of those that none can open."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.contracts import Kind
from edge_app.errors import SourceError, SourceNotFoundError
from edge_app.sources.recording.formats import open_recording
from tests.recording_files import (
    EdfSpec,
    edf_bytes,
    imu_rows,
    imu_text,
    write_picture,
    write_video,
)

WALK = imu_text(imu_rows(20), preamble="Acquisition frequency: 100 Hz\n")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no such file"):
        open_recording(tmp_path / "gone.edf", kind="eeg")


@pytest.mark.parametrize(
    ("name", "kind"), [("a.edf", "eeg"), ("a.csv", "imu"), ("a.mp4", "video"), ("a.xdf", "eeg")]
)
def test_an_empty_file(tmp_path: Path, name: str, kind: Kind) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SourceError, match="the file is empty"):
        open_recording(tmp_path / name, kind=kind)


def test_content_counts_for_more_than_the_name(tmp_path: Path) -> None:
    path = tmp_path / "night.dat"
    path.write_bytes(edf_bytes(EdfSpec()))
    recording = open_recording(path, kind="eeg")
    recording.close()
    assert recording.info.kind == "eeg"
    path = tmp_path / "walk.log"
    path.write_text(WALK)
    assert open_recording(path, kind="imu").info.kind == "imu"


@pytest.mark.parametrize("name", ["night.edf", "night.BDF", "lab.xdf"])
def test_a_name_that_promises_too_much(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not at all\n")
    with pytest.raises(SourceError, match="does not begin like it"):
        open_recording(tmp_path / name, kind="eeg")


def test_a_kind_that_the_file_does_not_hold_names_what_would_fit(tmp_path: Path) -> None:
    (tmp_path / "walk.csv").write_text(WALK)
    (tmp_path / "night.edf").write_bytes(edf_bytes(EdfSpec()))
    write_video(tmp_path / "clip.avi", 3)
    wrong: list[tuple[str, Kind, str]] = [
        ("clip.avi", "eeg", "EDF, EDF\\+, BDF or XDF"),
        ("walk.csv", "eeg", "EDF, EDF\\+, BDF or XDF"),
        ("night.edf", "imu", "CSV"),
        ("clip.avi", "imu", "CSV"),
        ("night.edf", "video", "folder of pictures"),
    ]
    for name, kind, fitting in wrong:
        with pytest.raises(SourceError, match=fitting):
            open_recording(tmp_path / name, kind=kind)


def test_a_folder_lists_its_recordings_of_that_kind(tmp_path: Path) -> None:
    for k in range(12):
        (tmp_path / f"night{k:02d}.edf").touch()
    (tmp_path / "walk.csv").touch()
    with pytest.raises(SourceError) as caught:
        open_recording(tmp_path, kind="eeg")
    assert "night00.edf" in str(caught.value.got)
    assert "night09.edf and 2 more" in str(caught.value.got)
    assert "walk" not in str(caught.value.got)
    with pytest.raises(SourceError, match="no recording of this kind"):
        open_recording(tmp_path, kind="video")


def test_a_folder_of_pictures_and_a_single_picture_are_videos(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", red=1)
    write_picture(tmp_path / "b.png", red=2)
    assert open_recording(tmp_path, kind="video").duration_s == 2
    assert open_recording(tmp_path / "a.png", kind="video").duration_s == 1
    with pytest.raises(SourceError, match="is a folder"):
        open_recording(tmp_path, kind="imu")


def test_binary_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "what.bin").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "what.csv").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(SourceError, match="format of this file is not known"):
        open_recording(tmp_path / "what.bin", kind="eeg")
    with pytest.raises(SourceError, match="is not text"):
        open_recording(tmp_path / "what.csv", kind="imu")


def test_a_name_given_is_the_streams_name(tmp_path: Path) -> None:
    (tmp_path / "walk.csv").write_text(WALK)
    assert open_recording(tmp_path / "walk.csv", kind="imu", name="foot").info.name == "foot"
    assert open_recording(tmp_path / "walk.csv", kind="imu").info.name == "walk.csv"
