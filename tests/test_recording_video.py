"""Video files and picture folders: colours, stamps, counts, damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_app.errors import SourceError
from edge_app.sources.recording.images import ImageRecording
from edge_app.sources.recording.video import VideoRecording
from tests.recording_files import write_picture, write_video


@pytest.mark.parametrize(
    ("name", "n_frames", "size"),
    [
        ("single_face.mp4", 72, (360, 640)),
        ("face_noface.mov", 169, (540, 960)),
        ("no_face.mp4", 95, None),
    ],
)
def test_the_real_clips_give_all_their_frames(
    data_dir: Path, name: str, n_frames: int, size: tuple[int, int] | None
) -> None:
    recording = VideoRecording(data_dir / "faces" / name)
    stamps_s = []
    for chunk in recording.chunks():
        stamps_s += chunk.times_s.tolist()
        assert size is None or chunk.samples.shape == (1, *size, 3)
    rate_hz = recording.info.rate_hz
    assert stamps_s == [k / rate_hz for k in range(n_frames)]
    assert recording.duration_s == pytest.approx(n_frames / rate_hz, rel=0.05)  # by the header


def test_frames_are_rgb_in_order(tmp_path: Path) -> None:
    recording = VideoRecording(write_video(tmp_path / "red.avi", 30, rate_hz=20))
    assert recording.info.rate_hz == 20
    for k, chunk in enumerate(recording.chunks()):
        red, green, blue = chunk.samples[0].reshape(-1, 3).mean(axis=0)
        assert abs(red - (40 + 5 * k)) < 4
        assert max(green, blue) < 4
        assert chunk.times_s.tolist() == [k / 20]


def test_another_rate_is_obeyed_and_said(tmp_path: Path) -> None:
    recording = VideoRecording(write_video(tmp_path / "red.avi", 4), rate_hz=5)
    chunks = list(recording.chunks(100))
    assert chunks[0].times_s.tolist() == [0, 1 / 5, 2 / 5, 3 / 5]
    assert any("the file says 20" in sentence for sentence in recording.assumptions)


def test_a_cut_off_video_gives_the_frames_that_are_there(tmp_path: Path) -> None:
    path = write_video(tmp_path / "red.avi", 30)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    n = sum(len(chunk.times_s) for chunk in VideoRecording(path).chunks())
    assert 5 < n < 30


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        VideoRecording(write_video(tmp_path / "none.avi", 0))


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(4000))
    with pytest.raises(SourceError, match="cannot be opened as a video"):
        VideoRecording(path)


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for k in (10, 9, 1, 2):
        write_picture(tmp_path / f"face{k}.png", red=k)
    recording = ImageRecording(tmp_path)
    chunks = list(recording.chunks())
    assert [int(chunk.samples[0, 0, 0, 0]) for chunk in chunks] == [1, 2, 9, 10]
    assert [chunk.times_s.tolist() for chunk in chunks] == [[0.0], [1.0], [2.0], [3.0]]
    assert any("--rate-hz" in sentence for sentence in recording.assumptions)
    assert ImageRecording(tmp_path, rate_hz=4).duration_s == 1.0
    assert ImageRecording(tmp_path, rate_hz=4).assumptions == ()


def test_pictures_of_other_sizes_come_in_chunks_of_their_own(tmp_path: Path) -> None:
    for k, size in enumerate([(48, 64), (48, 64), (20, 30), (48, 64)]):
        write_picture(tmp_path / f"{k}.png", red=k, size=size)
    chunks = list(ImageRecording(tmp_path).chunks(10))
    assert [chunk.samples.shape[:3] for chunk in chunks] == [(2, 48, 64), (1, 20, 30), (1, 48, 64)]
    assert [chunk.times_s.tolist() for chunk in chunks] == [[0, 1], [2], [3]]


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png", red=1)
    (tmp_path / "2.jpg").write_bytes(b"no picture")
    (tmp_path / "3.png").write_bytes(b"")
    with pytest.raises(SourceError, match=r"2\.jpg"):
        list(ImageRecording(tmp_path).chunks())
    (tmp_path / "2.jpg").unlink()
    with pytest.raises(SourceError, match=r"3\.png"):
        list(ImageRecording(tmp_path).chunks())


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pictures"):
        ImageRecording(tmp_path)
