"""Raw recordings against hypnograms, as the bedside plays them, on tiny models foretold by hand."""

from __future__ import annotations

import dataclasses
import datetime
import io
import json
from pathlib import Path
from typing import Any, ClassVar

import edfio
import numpy as np
import pytest
from rich.console import Console

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from edge_app.errors import ConfigError, DatasetError, SourceError  # noqa: E402
from edge_app.inference.bundle import Bundle, load_bundle  # noqa: E402
from tests.bundles import write_bundle  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.toy_experiment import ToyExperiment  # noqa: E402
from trainer import evaluate as scoring  # noqa: E402
from trainer.experiment import BundleParts, Split  # noqa: E402
from trainer.scores_table import scores_table  # noqa: E402
from trainer.sleep_evaluation import recordings  # noqa: E402
from trainer.sleep_evaluation.ceiling import ceiling_beside  # noqa: E402
from trainer.sleep_evaluation.expert import SignalOptions, expert_stages  # noqa: E402
from trainer.sleep_evaluation.figures import sleep_figures  # noqa: E402
from trainer.sleep_evaluation.learnt import learnt_remarks  # noqa: E402
from trainer.sleep_evaluation.night_answers import nights_of_split  # noqa: E402
from trainer.sleep_evaluation.pictures import write_pictures  # noqa: E402
from trainer.sleep_evaluation.recordings import evaluate_recordings  # noqa: E402

RATE_HZ = 100
N = 30 * RATE_HZ
WORDS = ("W", "N1", "N2", "N3", "R")
START = datetime.datetime(2026, 1, 1, 22, 0)
LEVELS = (0, 0, 1, 2, 2, 3, 3, 3, 2, 4, 4, 0)
"""The tiny model says the stage whose index is the epoch's mean, so it is told what to say."""


def write_recording(
    path: Path,
    levels: tuple[float | None, ...] = LEVELS,
    labels: tuple[str, ...] = ("EEG Fpz-Cz",),
    unit: str = "uV",
    rest_s: int = 0,
) -> Path:
    """Epochs around their means, None: no electrode; then some seconds that fill no epoch."""
    ripple = 20 * np.sin(np.arange(N) * 0.37)
    ripple -= ripple.mean()
    parts = [np.zeros(N) if level is None else level + ripple for level in levels]
    signal = np.concatenate([*parts, ripple[: rest_s * RATE_HZ]])
    edfio.Edf(
        [
            edfio.EdfSignal(
                signal, RATE_HZ, label=label, physical_dimension=unit, physical_range=(-60, 60)
            )
            for label in labels
        ],
        recording=edfio.Recording(startdate=START.date()),
        starttime=START.time(),
    ).write(path)
    return path


def write_stages(path: Path, words: list[str]) -> Path:
    path.write_text("\n".join(words) + "\n")
    return path


def words_of(levels: tuple[int, ...]) -> list[str]:
    return [WORDS[level] for level in levels]


@pytest.fixture(scope="module", params=["sleep", "sleep_stateful"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    return load_bundle(write_bundle(folder, request.param, estimate_every_s=5.0))


@pytest.fixture
def stateful(tmp_path: Path) -> Bundle:
    return load_bundle(write_bundle(tmp_path, "sleep_stateful"))


def score(bundle: Bundle, recording: Path, hypnogram: Path | None, **options: Any) -> dict:
    signal = SignalOptions(**options)
    return evaluate_recordings(bundle, {}, recording, hypnogram, signal)[0]


def test_what_the_bedside_says_is_held_against_the_expert(bundle: Bundle, tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "night.edf", rest_s=7)
    words = words_of(LEVELS)
    words[3], words[5] = "N1", "?"
    found = score(bundle, recording, write_stages(tmp_path / "h.txt", words))
    json.dumps(found, allow_nan=False)
    assert found["n"] == 11
    assert found["accuracy"] == pytest.approx(10 / 11)
    assert found["confusion"][1][2] == 1
    assert list(found["delays"]) == ["0", "2"]
    assert [row["night"] for row in found["per_night"]] == ["night"]
    assert found["abstained"]["n"] == 0


def test_spoilt_epochs_count_apart_with_their_reason(stateful: Bundle, tmp_path: Path) -> None:
    levels = (*LEVELS[:6], None, *LEVELS[7:])
    recording = write_recording(tmp_path / "night.edf", levels)
    found = score(stateful, recording, write_stages(tmp_path / "h.txt", words_of(LEVELS)))
    assert (found["n"], found["accuracy"]) == (11, 1.0)
    assert found["abstained"]["reasons"] == {"flat": 1}
    assert found["abstained"]["per_class"]["N3"] == pytest.approx(1 / 3)
    assert found["with_abstentions_wrong"]["accuracy"] == pytest.approx(11 / 12)


def test_what_is_said_first_and_what_stands_are_told_apart(
    stateful: Bundle, tmp_path: Path
) -> None:
    # Of the first epoch: N1 8 - 8 * 0.45 = 4.4, W 8 - 8 * 0.55 = 3.6; later W gains 4 / 4 and more.
    levels = (0.55, 4, 4, *LEVELS[3:])
    recording = write_recording(tmp_path / "night.edf", levels)
    words = words_of((1, 4, 4, *LEVELS[3:]))
    found = score(stateful, recording, write_stages(tmp_path / "h.txt", words))
    assert found["accuracy"] == 1.0
    assert found["delays"]["2"]["confusion"][1][0] == 1
    assert found["delays"]["2"]["accuracy"] == pytest.approx(11 / 12)
    assert found["delays"]["2"]["revision_rate"] == pytest.approx(1 / 12)


def test_an_unsure_answer_is_no_answer(tmp_path: Path) -> None:
    sure = load_bundle(
        write_bundle(tmp_path, "sleep_stateful", enter_probability=1.0, leave_probability=1.0)
    )
    recording = write_recording(tmp_path / "night.edf")
    found = score(sure, recording, write_stages(tmp_path / "h.txt", words_of(LEVELS)))
    assert found["n"] == 0
    assert found["abstained"]["reasons"] == {"low_confidence": 12}


def test_what_was_assumed_is_said(stateful: Bundle, tmp_path: Path) -> None:
    labels = ("EEG Fpz-Cz", "EEG C3-A2")
    recording = write_recording(tmp_path / "night.edf", labels=labels, unit="UV")
    hypnogram = write_stages(tmp_path / "h.txt", words_of(LEVELS))
    said = " ".join(score(stateful, recording, hypnogram)["notes"])
    assert "channel EEG Fpz-Cz, 100 Hz" in said
    assert "EEG C3-A2" in said
    assert "'UV' of EEG Fpz-Cz taken as microvolts" in said
    other = score(stateful, recording, hypnogram, channel="C3-A2")["notes"]
    assert any("channel EEG C3-A2, 100 Hz" in note for note in other)


def test_digits_need_a_coding(stateful: Bundle, tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "night.edf")
    hypnogram = write_stages(tmp_path / "h.txt", [str(level) for level in LEVELS])
    with pytest.raises(DatasetError, match=r"aasm|rk"):
        score(stateful, recording, hypnogram)
    found = score(stateful, recording, hypnogram, coding="aasm")
    assert found["accuracy"] == 1.0
    assert "digits read as aasm: 0 W, 1 N1, 2 N2, 3 N3, 4 R" in found["notes"]


def test_a_hypnogram_off_the_grid_is_moved_to_the_nearest_epoch(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "night.edf")

    def stages_at(shift_s: float) -> tuple[list[int], str]:
        path = tmp_path / "h.tsv"
        rows = [f"{shift_s + 30 * i}\t30\t{WORDS[level]}" for i, level in enumerate(LEVELS[:-1])]
        path.write_text("\n".join(["onset\tduration\tstage", *rows]) + "\n")
        expert = expert_stages(recording, path, SignalOptions())
        return expert.stages.tolist(), " ".join(expert.notes)

    first = list(LEVELS[:-1])
    assert stages_at(10.0)[0] == [*first, -1]
    assert "moved by -10 s" in stages_at(10.0)[1]
    assert stages_at(20.0)[0] == [-1, *first]
    assert "moved by 10 s" in stages_at(20.0)[1]


def test_a_folder_of_pairs_is_scored_around_sleep_and_whole(
    stateful: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "sleep-cassette"
    folder.mkdir()
    for name, levels in (("SC4001", (*[0] * 63, *LEVELS)), ("SC4011", LEVELS)):
        write_recording(folder / f"{name}E0-PSG.edf", levels)
        annotations = [
            edfio.EdfAnnotation(30 * i, 30, f"Sleep stage {'W123R'[level]}")
            for i, level in enumerate(levels)
        ]
        edfio.Edf(
            [],
            recording=edfio.Recording(startdate=START.date()),
            starttime=START.time(),
            annotations=annotations,
        ).write(folder / f"{name}EC-Hypnogram.edf")
    shipped = {"learnt_subjects": ["01"]}
    told: list[str] = []
    found, nights = evaluate_recordings(
        stateful, shipped, folder, None, SignalOptions(), told.append
    )
    assert told == ["SC4001E0", "SC4011E0"]
    assert [row["n"] for row in found["per_night"]] == [60 + 10, 12]
    assert found["subsets"]["whole_recordings"]["n"] == 63 + 12 + 12
    assert found["learnt_from"] == ["01"]
    assert any(note.startswith("WARNING it learnt from 1 of these 2") for note in found["notes"])
    assert any("(2 of 2 nights)" in note for note in found["notes"])
    assert [night.subject for night in nights[0]] == ["00", "01"]
    shown = io.StringIO()
    Console(width=200, file=shown).print(scores_table(found))
    for words in ("at once", "60 s later", "SC4011E0", "whole recordings", "mean ± sd"):
        assert words in shown.getvalue()
    assert "people learnt from: figures flatter" in shown.getvalue().splitlines()[1]
    assert "Only 82 scored epochs" in " ".join(found["notes"])


def test_a_table_of_one_short_night_leaves_out_what_is_not_known(
    stateful: Bundle, tmp_path: Path
) -> None:
    levels = (0,) * 12
    recording = write_recording(tmp_path / "own.edf", levels)
    found = score(stateful, recording, write_stages(tmp_path / "h.txt", words_of(levels)))
    shown = io.StringIO()
    Console(width=200, file=shown).print(scores_table(found))
    text = shown.getvalue()
    assert "±" not in text
    assert "flatter" not in text
    assert "human" not in text
    (heads,) = [line for line in text.splitlines() if "changes/h" in line and "said" in line]
    assert "revised" in heads
    assert "90 %" not in heads  # nothing to see: no change of stage
    (n3,) = [line for line in text.splitlines() if "N3" in line]
    cells = [cell.strip() for cell in n3.split("│")[1:-1]]
    assert cells == ["N3", "0", "-", "-", "1.000", "-", "-"]


@pytest.mark.parametrize("of_simulated", [False, True])
def test_simulated_nights_are_not_held_against_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_simulated: bool
) -> None:
    tiny = load_bundle(write_bundle(tmp_path, "sleep_stateful"))
    training = tiny.manifest.training
    learnt = [data.model_copy(update={"simulated": of_simulated}) for data in training.data]
    training = training.model_copy(update={"data": learnt})
    bundle = dataclasses.replace(
        tiny, manifest=tiny.manifest.model_copy(update={"training": training})
    )
    recording = write_recording(tmp_path / "SC4001E0-PSG.edf")
    hypnogram = write_stages(tmp_path / "h.txt", words_of(LEVELS))
    ceiling = {"made": "up"}
    monkeypatch.setattr(recordings, "ceiling_beside", lambda _: ceiling)

    def found(simulated: bool) -> dict[str, Any]:
        def told(*args: Any, **options: Any) -> Any:
            return dataclasses.replace(expert_stages(*args, **options), simulated=simulated)

        monkeypatch.setattr(recordings, "expert_stages", told)
        shipped = {"learnt_subjects": ["00"]}
        return evaluate_recordings(bundle, shipped, recording, hypnogram, SignalOptions())[0]

    for simulated in (False, True):
        said = found(simulated)
        assert said["human_ceiling"] == (None if simulated else ceiling)
        # A model of simulated nights may have learnt from these very ones.
        assert said["learnt_from"] == ([] if simulated and not of_simulated else ["00"])


def test_a_recording_of_ones_own_is_scored_whole(stateful: Bundle, tmp_path: Path) -> None:
    levels = (*[0] * 63, *LEVELS)
    recording = write_recording(tmp_path / "own.edf", levels)
    found = score(stateful, recording, write_stages(tmp_path / "h.txt", words_of(levels)))
    assert found["n"] == 75
    assert found["subsets"] == {}


def test_pictures_are_drawn_when_asked_for(stateful: Bundle, tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "night.edf")
    found = scoring.evaluate_data(
        stateful,
        recording,
        hypnogram=write_stages(tmp_path / "h.txt", words_of(LEVELS)),
        pictures=tmp_path / "drawn",
    )
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == sorted(found["pictures"])
    assert "hypnogram_night.png" in found["pictures"]


class NightsExperiment(ToyExperiment):
    """Two nights of five epochs, answered at once wrong once, one epoch later right."""

    task = "sleep"
    stages: ClassVar = np.array([[0, 1, 2, 3, 4], [0, 0, 2, -1, -1]])

    def load_evaluation(self, path: Path) -> Split:
        del path
        targets = torch.from_numpy(np.stack([self.stages, self.stages], axis=-1))
        people = np.array(["00", "01"])
        return Split((), targets, people, "made up", examples=("SC4001E0", "SC4011E0"))

    def score(self, run: Any, split: Split) -> np.ndarray:
        del run, split
        moments = np.eye(5, dtype=np.float32)[
            np.stack([self.stages, np.roll(self.stages, 1, 1)], -1)
        ]
        moments[0, 2, 0] = np.eye(5)[0]
        return moments

    def subsets(
        self, path: Path, split: Split, duplicates_of: Path | None = None
    ) -> dict[str, Any]:
        del path, split, duplicates_of
        return {}

    def parts(self) -> BundleParts:
        return dataclasses.replace(super().parts(), labels=WORDS)

    def nights(self, split: Split, probabilities: np.ndarray) -> Any:
        return nights_of_split(split.examples, split.groups, split.targets.numpy(), probabilities)

    def split_figures(self, split: Split, probabilities: np.ndarray, path: Path) -> dict[str, Any]:
        return sleep_figures(self.nights(split, probabilities), ceiling=ceiling_beside(path))

    def pictures(
        self, figures: dict[str, Any], split: Split, probabilities: np.ndarray, folder: Path
    ) -> list[Path]:
        return write_pictures(folder, figures, self.nights(split, probabilities))

    def remarks(self, shipped: dict[str, Any], split: Split) -> dict[str, Any]:
        return learnt_remarks(shipped, split.groups.tolist())


def test_an_experiment_of_nights_gives_figures_by_night_and_delay(
    stateful: Bundle, tmp_path: Path
) -> None:
    (stateful.path / "metrics.json").write_text('{"learnt_subjects": ["01"]}')
    experiment = NightsExperiment(NightsExperiment.Options())
    split = experiment.load_evaluation(tmp_path)
    found = scoring.evaluate(stateful, experiment, split, tmp_path, pictures=tmp_path / "drawn")
    json.dumps(found, allow_nan=False)
    assert (found["n"], found["accuracy"]) == (8, 7 / 8)
    assert found["delays"]["1"]["accuracy"] == 1.0
    assert found["delays"]["1"]["revision_rate"] == 1 / 8
    assert [(row["night"], row["n"]) for row in found["per_night"]] == [
        ("SC4001E0", 5),
        ("SC4011E0", 3),
    ]
    assert found["learnt_from"] == ["01"]
    assert (tmp_path / "drawn" / "hypnogram_SC4011E0.png").is_file()
    assert "hypnogram_SC4011E0.png" in found["pictures"]
    assert found["human_ceiling"] is None


def test_options_that_do_not_fit_are_refused(stateful: Bundle, tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "night.edf")
    hypnogram = write_stages(tmp_path / "h.txt", words_of(LEVELS))
    emotion = load_bundle(write_bundle(tmp_path, "emotion"))
    with pytest.raises(ConfigError, match="--hypnogram"):
        scoring.evaluate_data(stateful, recording)
    with pytest.raises(ConfigError, match="only a sleep bundle"):
        scoring.evaluate_data(emotion, recording, hypnogram=hypnogram)
    with pytest.raises(ConfigError, match="one hypnogram"):
        scoring.evaluate_data(stateful, tmp_path, hypnogram=hypnogram)
    archive = tmp_path / "archive.npz"
    archive.touch()
    with pytest.raises(ConfigError, match="an archive has its own labels"):
        scoring.evaluate_data(stateful, archive, hypnogram=hypnogram)
    with pytest.raises(ConfigError, match="of recordings only"):
        scoring.evaluate_data(emotion, tmp_path, signal=SignalOptions(unit="V"))
    with pytest.raises(SourceError, match="no channel 'Oz'"):
        score(stateful, recording, hypnogram, channel="Oz")
    with pytest.raises(DatasetError, match="mismatched lengths"):
        score(stateful, recording, write_stages(tmp_path / "short.txt", ["W"] * 5))
    with pytest.raises(DatasetError, match="no such hypnogram"):
        score(stateful, recording, tmp_path / "none.txt")


def test_the_real_recording_with_its_odd_unit_and_rate_is_scored(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = data_dir / "sleep" / "raw"
    shipped = load_bundle(ROOT / "exports" / "sleep")
    found = scoring.evaluate_data(
        shipped,
        raw / "excerpt3.edf",
        hypnogram=raw / "Hypnogram_excerpt3.txt",
        signal=SignalOptions(channel="C3-A1"),
    )
    json.dumps(found, allow_nan=False)
    assert found["n"] + found["abstained"]["n"] == 60
    truth = [
        row["support"] + found["abstained"]["n_per_class"][stage]
        for stage, row in found["per_class"].items()
    ]
    lines = (raw / "Hypnogram_excerpt3.txt").read_text().split()[1:361]
    epochs = np.array([int(line) for line in lines]).reshape(60, 6)
    stage_of = {5: 0, 3: 1, 2: 2, 1: 3, 0: 3, 4: 4}
    votes = [np.bincount([stage_of[code] for code in row], minlength=5).argmax() for row in epochs]
    assert truth == np.bincount(votes, minlength=5).tolist()
    said = " ".join(found["notes"])
    assert "channel C3-A1, 50 Hz" in said
    assert "'UV' of C3-A1 taken as microvolts" in said
    assert any("50 samples a second" in record.message for record in caplog.records)
