"""Facial expression over time: scripted faces with known answers, then real clips."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_app.build import (
    StreamRoad,
    find_bundle,
    open_bundle,
    open_person_file,
    with_baseline,
)
from edge_app.config import DeviceConfig, JsonlConfig
from edge_app.contracts import AbstainReason, Chunk, Prediction, StreamInfo, Window
from edge_app.errors import ConfigError
from edge_app.expression_baseline import RestingBaseline
from edge_app.inference.bundle import Bundle, load_bundle, seal
from edge_app.preprocess.face import FaceBox
from edge_app.preprocess.face_detectors import YuNetDetector
from edge_app.preprocess.face_finder import FaceFinder, FaceReading
from edge_app.replay import ReplayRequest, replay
from edge_app.run import run_device
from edge_app.tasks.emotion import EmotionTask
from edge_app.tasks.registry import build_task
from edge_app.windowing import SingleFrames
from tests.bundles import LABELS, write_bundle

CAMERA = StreamInfo("face", "video", 10.0, ("rgb",), ("rgb8",), "test", True)
HAPPY, SAD = LABELS["emotion"].index("happy"), LABELS["emotion"].index("sad")
NEUTRAL, FLAT = LABELS["emotion"].index("neutral"), 99
Shown = int | AbstainReason
Scene = Callable[[float], Shown]


class ReadsCrop:
    """A model that says what the crop's grey level stands for, nine tenths sure."""

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        level = int(feeds["face"][0, 0, 0, 0])
        p = np.full(7, 1 / 7 if level == FLAT else 0.1 / 6, np.float32)
        if level != FLAT:
            p[level] = 0.9
        return {"probabilities": p[None]}


class ScriptedFinder:
    """Shows what the scene says; a frame's first pixel holds nothing of interest."""

    def __init__(self, scene: Scene, person: Callable[[float], int] = lambda _: 0) -> None:
        self._scene, self._person = scene, person
        self.forgot = 0

    def update(self, time_s: float, frame: np.ndarray) -> FaceReading:  # noqa: ARG002
        shown = self._scene(time_s)
        person = self._person(time_s)
        if isinstance(shown, AbstainReason):
            return FaceReading(None, None, 0, shown, 0.0, True, person)
        crop = np.full((48, 48), shown, np.uint8)
        return FaceReading(crop, FaceBox(0, 0, 60, 60), 2, None, 0.75, True, person)

    def forget(self) -> None:
        self.forgot += 1


@pytest.fixture(scope="module")
def reads_crop(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    def made(**rolling: object) -> Bundle:
        folder = tmp_path_factory.mktemp("bundle")
        given_ = {"enter_probability": 0.5, "leave_probability": 0.4, **rolling}
        bundle = load_bundle(write_bundle(folder, "emotion", **given_))
        return dataclasses.replace(bundle, runners={"model": ReadsCrop()})

    return made


def window(time_s: float, rate_hz: float = 10.0) -> Window:
    frame = np.zeros((1, 2, 2, 3), np.uint8)
    return Window(0, time_s, time_s + 1.0 / rate_hz, rate_hz, frame)


def watch(
    bundle: Bundle,
    times_s: Iterable[float],
    scene: Scene,
    baseline: RestingBaseline | None = None,
    **finder: Callable[[float], int],
) -> list[Prediction]:
    task = EmotionTask(bundle, CAMERA, ScriptedFinder(scene, **finder), baseline)
    return [p for time_s in times_s for p in task.push(window(time_s))]


def every(rate_hz: float, until_s: float) -> list[float]:
    return [k / rate_hz for k in range(round(until_s * rate_hz) + 1)]


@pytest.mark.parametrize(
    "reason", [AbstainReason.NO_FACE, AbstainReason.BLUR, AbstainReason.DARK, AbstainReason.TURNED]
)
def test_a_frame_that_cannot_be_used_is_unknown_at_once(
    reads_crop: Callable[..., Bundle], reason: AbstainReason
) -> None:
    scene = {0.0: NEUTRAL, 0.1: reason, 0.2: NEUTRAL}.__getitem__
    said = watch(reads_crop(), (0.0, 0.1, 0.2), scene)
    assert [p.label for p in said] == ["neutral", None, "neutral"]
    assert (said[1].abstained, said[1].probabilities, said[1].quality) == (reason, (), 0.0)
    assert all(p.final and p.simulated for p in said)
    assert said[0].quality == 0.75
    assert dict(said[0].evidence)["faces"] == 2.0


def test_an_unsure_face_is_low_confidence_with_its_probabilities(
    reads_crop: Callable[..., Bundle],
) -> None:
    (said,) = watch(reads_crop(), [0.0], lambda _: FLAT)
    assert (said.label, said.abstained) == (None, AbstainReason.LOW_CONFIDENCE)
    assert [p for _, p in said.probabilities] == pytest.approx([1 / 7] * 7)


def test_a_single_odd_frame_changes_no_label(reads_crop: Callable[..., Bundle]) -> None:
    said = watch(
        reads_crop(time_constant_s=2.0), every(10, 1.0), lambda t: SAD if t == 0.5 else HAPPY
    )
    assert {p.label for p in said} == {"happy"}
    assert dict(said[5].probabilities)["sad"] > dict(said[4].probabilities)["sad"]


@pytest.mark.parametrize(("silence_s", "label"), [(2.9, "happy"), (3.2, "sad")])
def test_after_three_time_constants_the_past_is_forgotten(
    reads_crop: Callable[..., Bundle], silence_s: float, label: str
) -> None:
    bundle = reads_crop(time_constant_s=1.0, min_dwell_s=30.0, leave_probability=0.01)
    times_s = (0.0, 0.1, 0.1 + silence_s)
    said = watch(bundle, times_s, lambda t: SAD if t > 1.0 else HAPPY)
    assert said[-1].label == label
    if label == "sad":
        assert dict(said[-1].probabilities)["sad"] == pytest.approx(0.9)


def test_another_person_inherits_nothing(reads_crop: Callable[..., Bundle]) -> None:
    bundle = reads_crop(time_constant_s=5.0, min_dwell_s=30.0)
    said = watch(
        bundle,
        every(10, 1.0),
        lambda t: SAD if t >= 0.5 else HAPPY,
        person=lambda t: int(t >= 0.5),
    )
    assert [p.label for p in said[4:6]] == ["happy", "sad"]
    assert dict(said[5].probabilities)["sad"] == pytest.approx(0.9)


def test_a_photograph_inherits_nothing_from_the_one_before(
    reads_crop: Callable[..., Bundle],
) -> None:
    class Anywhere:
        def detect(self, frame: np.ndarray) -> list[FaceBox]:
            return [FaceBox(0, 0, frame.shape[1], frame.shape[0])]

    bundle = reads_crop(time_constant_s=5.0, min_dwell_s=30.0)
    info = dataclasses.replace(CAMERA, rate_hz=1.0)  # as a folder of photographs is taken
    task = build_task(bundle, info, Anywhere)
    said = [
        p
        for second, level in enumerate((HAPPY, SAD))
        for p in task.push(
            Window(0, second, second + 1.0, 1.0, np.full((1, 60, 60, 3), level, np.uint8))
        )
    ]
    assert [p.label for p in said] == ["happy", "sad"]
    assert dict(said[1].probabilities)["sad"] == pytest.approx(0.9)
    assert [dict(p.evidence)["person"] for p in said] == [0.0, 1.0]


def test_evidence_tells_shares_and_coverage_by_hand(reads_crop: Callable[..., Bundle]) -> None:
    def scene(time_s: float) -> Shown:
        """Happy for 15 s, nobody for 5 s, sad for 20 s, unsure for 5 s."""
        if time_s <= 15.0:
            return HAPPY
        if time_s <= 20.0:
            return AbstainReason.NO_FACE
        return SAD if time_s <= 40.0 else FLAT

    bundle = reads_crop(time_constant_s=None, enter_probability=0.5, leave_probability=0.5)
    last = dict(watch(bundle, every(4, 45.0), scene)[-1].evidence)
    # of 15 to 45 s: nobody 5 s, sad 20 s, unsure 5 s; of all 45 s: happy 15 s too
    assert last["coverage_30_s"] == pytest.approx(25 / 30, abs=1e-4)
    assert last["share_sad_30_s"] == pytest.approx(20 / 25)
    assert last["share_happy_30_s"] == 0.0
    assert last["coverage_60_s"] == pytest.approx(40 / 60, abs=1e-4)
    assert last["share_happy_60_s"] == pytest.approx(15 / 40, abs=1e-4)
    assert last["share_sad_60_s"] == pytest.approx(20 / 40)
    assert sum(v for k, v in last.items() if k.endswith("_60_s") and "share" in k) == pytest.approx(
        35 / 40
    )


def test_ten_and_thirty_frames_a_second_say_the_same(reads_crop: Callable[..., Bundle]) -> None:
    def scene(time_s: float) -> Shown:
        if 8.0 < time_s <= 9.0:
            return AbstainReason.BLUR
        return HAPPY if (time_s - 1e-9) % 6.0 < 3.0 else SAD  # until the very end of each

    bundle = reads_crop(time_constant_s=1.5, min_dwell_s=1.0)
    slow = watch(bundle, every(10, 20.0), scene)
    fast = watch(bundle, every(30, 20.0), scene)[::3]
    for a, b in zip(slow, fast, strict=True):
        assert (a.start_s, a.abstained) == (pytest.approx(b.start_s), b.abstained)
        assert dict(a.probabilities) == pytest.approx(dict(b.probabilities), abs=1e-9)
    # a change of label may come up to one frame of the slower camera later, seven times in 20 s
    assert sum(a.label != b.label for a, b in zip(slow, fast, strict=True)) == 0
    assert dict(slow[-1].evidence) == pytest.approx(dict(fast[-1].evidence), abs=0.1 * 7 / 19)
    covered = [dict(p.evidence)["coverage_30_s"] for p in (slow[-1], fast[-1])]
    assert covered == pytest.approx([19 / 30, 19 / 30], abs=1e-4)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(1, 40), max_size=6))
def test_chunks_change_nothing(reads_crop: Callable[..., Bundle], cuts: list[int]) -> None:
    def through(cuts: list[int]) -> list[Prediction]:
        finder = ScriptedFinder(lambda t: HAPPY if t < 2.0 else SAD)
        task, windower = EmotionTask(bundle, CAMERA, finder), SingleFrames(CAMERA)
        said, first = [], 0
        for n in [*cuts, 40]:
            times_s = np.arange(first, min(first + n, 40)) / 10.0
            first += len(times_s)
            pictures = np.zeros((len(times_s), 2, 2, 3), np.uint8)
            said += [p for w in windower.push(Chunk(times_s, pictures)) for p in task.push(w)]
        return said

    bundle = reads_crop(time_constant_s=1.0)
    assert through(cuts) == through([])


def test_the_last_minute_outlives_a_camera_that_came_back(
    reads_crop: Callable[..., Bundle],
) -> None:
    finder = ScriptedFinder(lambda _: HAPPY)
    task = EmotionTask(reads_crop(time_constant_s=1.0), CAMERA, finder)
    for time_s in every(10, 10.0):
        task.push(window(time_s))
    task.adopt(CAMERA)
    (said,) = task.push(window(15.0))
    assert finder.forgot == 1
    assert dict(said.evidence)["coverage_30_s"] == pytest.approx(10 / 30, abs=1e-4)
    assert dict(said.probabilities)["happy"] == pytest.approx(0.9)


def test_the_baseline_is_collected_from_usable_faces_only(
    reads_crop: Callable[..., Bundle],
) -> None:
    bundle = reads_crop(time_constant_s=0.5)
    own = RestingBaseline(3.0, bundle.manifest.labels, bundle.model_id)

    def scene(time_s: float) -> Shown:
        if 1.0 < time_s <= 2.0:
            return AbstainReason.NO_FACE
        return SAD if time_s <= 4.0 else HAPPY

    task = EmotionTask(bundle, CAMERA, ScriptedFinder(scene), own)
    news: list[int] = []
    task.on_baseline = lambda seconds: news.append(len(seconds))
    said = [p for time_s in every(10, 10.0) for p in task.push(window(time_s))]
    told = [dict(p.evidence) for p in said]
    assert told[10]["baseline_s"] == pytest.approx(1.0)
    assert told[20]["baseline_s"] == pytest.approx(1.0)
    assert "change_sad" not in told[39]
    assert told[40]["baseline_s"] == pytest.approx(3.0)
    assert told[41]["change_sad"] < told[40]["change_sad"] == pytest.approx(0.0, abs=1e-6)
    # from 1/60 to 9/10 and back: log(9) + log(59)
    expected = np.log(9.0) + np.log(59.0)
    assert told[-1]["change_happy"] == pytest.approx(expected, abs=0.01)
    assert told[-1]["change_sad"] == pytest.approx(-expected, abs=0.01)
    assert news == [1] * 29 + [0]  # one frame of seconds each, none once it is complete
    task.finish()
    assert news[-1] == 0


def test_the_baseline_is_never_collected_from_another_face(
    reads_crop: Callable[..., Bundle],
) -> None:
    """The face first followed is happy; from 2 s on another one, sad, is followed."""
    bundle = reads_crop(time_constant_s=0.5)
    own = RestingBaseline(3.0, bundle.manifest.labels, bundle.model_id)
    finder = ScriptedFinder(lambda t: HAPPY if t < 2.0 else SAD, lambda t: int(t >= 2.0))
    task = EmotionTask(bundle, CAMERA, finder, own)
    said = [p for time_s in every(10, 10.0) for p in task.push(window(time_s))]
    assert dict(said[-1].evidence)["baseline_s"] == pytest.approx(1.9)
    assert own.as_dict()["rest"][HAPPY] == pytest.approx(0.9)
    assert {dict(p.evidence)["person"] for p in said[20:]} == {1.0}


def test_the_baseline_goes_on_after_the_camera_came_back(
    reads_crop: Callable[..., Bundle],
) -> None:
    bundle = reads_crop()
    own = RestingBaseline(3.0, bundle.manifest.labels, bundle.model_id)
    finder = ScriptedFinder(lambda _: HAPPY, lambda _: finder.forgot)
    task = EmotionTask(bundle, CAMERA, finder, own)
    for first_s in (0.0, 100.0):
        for time_s in every(10, 1.0):
            task.push(window(first_s + time_s))
        task.adopt(CAMERA)
    assert own.collected_s == pytest.approx(2.0)


def test_hours_need_no_more_memory_than_minutes(reads_crop: Callable[..., Bundle]) -> None:
    def scene(time_s: float) -> Shown:
        return AbstainReason.NO_FACE if time_s % 97 < 20 else int(time_s // 7) % 7

    bundle = reads_crop(time_constant_s=1.5)
    own = RestingBaseline(60.0, bundle.manifest.labels, bundle.model_id)
    task = EmotionTask(bundle, CAMERA, ScriptedFinder(scene), own)

    def kept_after(until_s: float) -> int:
        """All that the task keeps of the past, in bytes, after an answer a second until then."""
        nonlocal now_s
        while now_s < until_s:
            task.push(window(now_s))
            now_s += 1.0
        kept = (task._smoother, task._hysteresis, task._shares, task._answered, task.baseline)
        return len(pickle.dumps(kept))

    now_s = 0.0
    after_half_an_hour = kept_after(1800.0)
    assert kept_after(5 * 3600.0) <= 1.5 * after_half_an_hour < 10_000


def stream(folder: Path, **fields: object) -> dict:
    return {
        "name": folder.name,
        "bundle": folder,
        "source": {"kind": "simulated", "sensor": "face", "seed": 0},
        **fields,
    }


def device(*streams: dict) -> DeviceConfig:
    return DeviceConfig.model_validate(
        {"device": "d", "streams": streams, "sinks": [{"kind": "console"}]}
    )


def test_the_baseline_of_the_command_line_is_for_faces(tmp_path: Path) -> None:
    face, eeg = (write_bundle(tmp_path, task) for task in ("emotion", "sleep"))
    wanted = with_baseline(device(stream(face), stream(eeg)), 60.0)
    assert [s.baseline_s for s in wanted.streams] == [60.0, None]
    with pytest.raises(ConfigError, match="no resting baseline"):
        with_baseline(device(stream(eeg)), 60.0)


def test_a_person_file_for_a_face_needs_a_baseline(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path, "emotion"))
    person = {"file": tmp_path / "p.json"}
    (given_,) = device(stream(bundle.path, person=person, baseline_s=30.0)).streams
    kept = open_person_file(given_, bundle)
    assert kept is not None
    assert isinstance(kept.person, RestingBaseline)
    (lacking,) = device(stream(bundle.path, person=person)).streams
    with pytest.raises(ConfigError, match="baseline"):
        open_person_file(lacking, bundle)


def test_the_baseline_of_a_stream_outlives_the_program(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path, "emotion"))
    person = {"file": tmp_path / "state" / "p.json"}
    (given_,) = device(stream(bundle.path, person=person, baseline_s=30.0)).streams

    def begun() -> EmotionTask:
        road = StreamRoad(bundle, open_person=lambda: open_person_file(given_, bundle))
        _, task = road.prepare(CAMERA)
        assert isinstance(task, EmotionTask)
        assert isinstance(task.baseline, RestingBaseline)
        return task

    first = begun()
    first._finder = ScriptedFinder(lambda _: HAPPY)
    for time_s in every(10, 12.0):
        first.push(window(time_s))
    first.finish()
    second = begun()
    assert second.baseline is not None
    assert second.baseline.collected_s == pytest.approx(12.0)


def test_a_run_writes_episodes_and_the_baseline_too(data_dir: Path, tmp_path: Path) -> None:
    film = {"kind": "recording", "path": data_dir / "faces" / "single_face.mp4", "speed": None}
    yunet = data_dir / "models" / "yunet_n_320_320.onnx"
    face = stream(with_episodes(tmp_path), source=film, face_detector=yunet, baseline_s=0.5)
    sinks = (JsonlConfig(kind="jsonl", directory=tmp_path / "out"),)
    result = run_device(device(face).model_copy(update={"sinks": sinks}))
    assert result.exit_code == 0
    (episode,) = (tmp_path / "out" / "episodes.jsonl").read_text().splitlines()
    assert json.loads(episode)["stream"] == "emotion"
    rows = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["evidence"]["baseline_s"] == 0.5


def clip(path: Path, *, every_nth: int) -> np.ndarray:
    import cv2

    video, frames = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        frames.append(np.ascontiguousarray(read[1][:, :, ::-1]))
    return np.stack(frames[::every_nth])


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return open_bundle(find_bundle("emotion"))


def test_a_face_that_leaves_and_returns(data_dir: Path, shipped: Bundle) -> None:
    """The clip's face is in its first 72 frames; shown again after those without it."""
    frames = clip(data_dir / "faces" / "face_noface.mov", every_nth=3)
    frames = np.concatenate([frames, frames[:24]])
    times_s = np.arange(len(frames)) / 10.0
    info = dataclasses.replace(CAMERA, simulated=False)
    yunet = data_dir / "models" / "yunet_n_320_320.onnx"
    task = build_task(shipped, info, lambda: YuNetDetector(yunet))
    windows = SingleFrames(info).push(Chunk(times_s, frames))
    said = [p for w in windows for p in task.push(w)]
    left_s, back_s = 24 / 10.0, (len(frames) - 24) / 10.0
    labelled_s = np.array([p.start_s for p in said if p.label is not None])
    assert np.sum(labelled_s < left_s) >= 20
    assert not np.any((labelled_s > left_s + 0.5) & (labelled_s < back_s))
    after = [p for p in said if p.start_s >= back_s]
    assert min(p.start_s for p in after if p.label is not None) <= back_s + 0.5
    assert {p.abstained for p in said if left_s + 0.5 < p.start_s < back_s} == {
        AbstainReason.NO_FACE
    }
    # and says again what it said of the same frames before
    assert after[-1].label == said[23].label


def test_nobody_gets_no_label(data_dir: Path, shipped: Bundle) -> None:
    frames = clip(data_dir / "faces" / "no_face.mp4", every_nth=4)
    yunet = YuNetDetector(data_dir / "models" / "yunet_n_320_320.onnx")
    task = EmotionTask(shipped, CAMERA, FaceFinder(yunet, shipped.manifest.conditioning))
    windows = SingleFrames(CAMERA).push(Chunk(np.arange(len(frames)) / 10.0, frames))
    said = [p for w in windows for p in task.push(w)]
    assert {(p.label, p.abstained) for p in said} == {(None, AbstainReason.NO_FACE)}
    nothing = {"faces": 0.0, "person": 0.0, "coverage_30_s": 0.0, "coverage_60_s": 0.0}
    assert dict(said[-1].evidence) == nothing


def with_episodes(folder: Path) -> Path:
    """A tiny bundle that calls every bright face neutral, and tells that as an episode."""
    made = write_bundle(folder, "emotion")
    document = json.loads((made / "manifest.json").read_text())
    spec = {
        "label": "neutral",
        "enter_probability": 0.3,
        "leave_probability": 0.2,
        "min_duration_s": 0.5,
        "ppv": 0.8,
        "ppv_low": 0.7,
        "recall": 0.3,
        "prevalence": 0.2,
    }
    document["conditioning"]["episodes"] = [spec]
    (made / "manifest.json").write_text(json.dumps(document))
    seal(made)
    return made


def test_a_replay_writes_its_episodes_and_the_same_ones_again(
    data_dir: Path, tmp_path: Path
) -> None:
    bundle = with_episodes(tmp_path)
    told = []
    for chunk_samples in (1, 50):
        out = tmp_path / str(chunk_samples)
        request = ReplayRequest(
            data_dir / "faces" / "single_face.mp4",
            "emotion",
            bundle,
            out,
            chunk_samples=chunk_samples,
            face_detector=data_dir / "models" / "yunet_n_320_320.onnx",
            baseline_s=1.0,
        )
        replay(request)
        told.append([(out / name).read_bytes() for name in ("predictions.jsonl", "episodes.jsonl")])
        assert not list(out.glob("*.part"))
    assert told[0] == told[1]
    (episode,) = map(json.loads, told[0][1].splitlines())
    assert episode["label"] == "neutral"
    assert 1.5 < episode["duration_s"] < 2.4
    assert not episode["simulated"]
    last = json.loads(told[0][0].splitlines()[-1])["evidence"]
    assert last["baseline_s"] == 1.0
    assert "change_neutral" in last
