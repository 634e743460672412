"""Copies in an evaluation, ``fit --allow-leak`` and ``prepare faces``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from typer.testing import CliRunner  # noqa: E402

from edge_app.errors import DatasetError  # noqa: E402
from tests.face_files import (  # noqa: E402
    clinical_set,
    copy_into_training,
    csv_table,
    drawn,
    fer_folders,
    jpeg,
    picture,
    write,
)
from trainer.cli import app  # noqa: E402
from trainer.experiment import Split  # noqa: E402
from trainer.experiments import emotion_data  # noqa: E402
from trainer.experiments.emotion_data import FacePictures  # noqa: E402
from trainer.experiments.emotion_options import EmotionOptions  # noqa: E402
from trainer.splits import refuse_leak  # noqa: E402


def reader(**options: object) -> FacePictures:
    return FacePictures(EmotionOptions.model_validate(options))


def load(path: Path, **options: object) -> tuple[Split, Split]:
    pictures = reader(**options)
    return emotion_data.load_splits(pictures, path, pictures.options)


# ---- copies in evaluation


def test_duplicates_are_counted_against_any_folder(tmp_path: Path) -> None:
    fer_folders(tmp_path / "fer", "Training", "PublicTest")
    copy_into_training(tmp_path / "fer")
    pictures = reader()
    path = tmp_path / "fer"
    split = emotion_data.load_evaluation(pictures, path, pictures.options)

    def free(duplicates_of: Path | None) -> list[str]:
        mask = emotion_data.subset_masks(pictures, path, split, duplicates_of)["duplicate_free"]
        gone = [name for name, keep in zip(split.examples, mask, strict=True) if not keep]
        return ["/".join(name.split("/")[-2:]) for name in gone]

    assert free(None) == free(path) == free(path / "train") == ["happy/PublicTest_0.png"]
    loose = tmp_path / "loose" / "holiday"
    content = (path / "test" / "fear" / "PublicTest_1.png").read_bytes()
    loose.mkdir(parents=True)
    (loose / "me.png").write_bytes(content)
    assert free(tmp_path / "loose") == ["fear/PublicTest_1.png"]


def test_a_folder_that_holds_the_evaluated_one_is_compared_without_it(tmp_path: Path) -> None:
    fer_folders(tmp_path, "Training", "PublicTest")
    copy_into_training(tmp_path)
    pictures = reader()
    split = emotion_data.load_evaluation(pictures, tmp_path / "test", pictures.options)
    masks = emotion_data.subset_masks(pictures, tmp_path / "test", split, tmp_path)
    assert int(masks["duplicate_free"].sum()) == 13
    assert emotion_data.subset_masks(pictures, tmp_path / "test", split) == {}


def test_copies_of_everything_make_no_empty_subset(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "happy" / "x.png", grey=5)
    picture(tmp_path / "b" / "y.png", grey=5)
    pictures = reader()
    split = emotion_data.load_evaluation(pictures, tmp_path / "a", pictures.options)
    assert emotion_data.subset_masks(pictures, tmp_path / "a", split, tmp_path / "b") == {}
    assert any("holds every picture that is scored" in note for note in pictures.notes)


def test_between_csv_and_jpeg_copies_are_found_by_difference_hash(tmp_path: Path) -> None:
    pixels = drawn(3, seed=8)
    csv_table(tmp_path / "t.csv", [(3, one, "PublicTest") for one in pixels])
    (tmp_path / "learnt").mkdir()
    (tmp_path / "learnt" / "x.jpg").write_bytes(jpeg(pixels[1]))
    pictures = reader()
    split = emotion_data.load_evaluation(pictures, tmp_path / "t.csv", pictures.options)
    masks = emotion_data.subset_masks(pictures, tmp_path / "t.csv", split, tmp_path / "learnt")
    assert masks["duplicate_free"].tolist() == [True, True, True]
    assert masks["near_duplicate_free"].tolist() == [True, False, True]
    assert any("near_duplicate_free" in note for note in pictures.notes)


# ---- commands

SHORT = "--set fit.passes=1 --set experiment.model=clinical_cnn --set experiment.filters=[4,4,4]"


@pytest.mark.usefixtures("without_curves")
def test_fit_refuses_a_leak_and_stamps_the_one_it_was_told_to_allow(tmp_path: Path) -> None:
    root = fer_folders(tmp_path / "data", "Training", "PublicTest")
    copy_into_training(root)
    words = [*SHORT.split(), "--set", "experiment.dense=[8]", "--set", "experiment.teachers=[]"]
    words += ["--set", "experiment.clean_copies=false"]
    base = ["fit", "emotion_clinical_cnn", "--data", str(root), *words]
    refused = CliRunner().invoke(app, [*base, "--out", str(tmp_path / "refused")])
    assert isinstance(refused.exception, DatasetError)
    assert "--allow-leak" in refused.exception.next_step
    assert not (tmp_path / "refused").exists()
    allowed = CliRunner().invoke(app, [*base, "--out", str(tmp_path / "run"), "--allow-leak"])
    assert allowed.exit_code == 0, allowed.output
    assert "WARNING leak: 1 of 14 pictures" in allowed.output
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["leak"].startswith("1 of 14 pictures")


def test_prepare_faces_prints_all_that_is_wrong(tmp_path: Path) -> None:
    root = fer_folders(tmp_path, "Training", "PublicTest")
    copy_into_training(root, "sad")
    write(root / "train" / "sad" / "Training_blank.png", np.full((48, 48), 7, np.uint8))
    (root / "test" / "fear" / "PublicTest_9.png").write_bytes(b"no picture")
    for file in (root / "test" / "disgust").iterdir():
        file.unlink()
    result = CliRunner().invoke(app, ["prepare", "faces", "--data", str(root)])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "FER-2013's folders" in said
    assert "test/fear/PublicTest_9.png: not a readable picture" in said
    assert "4,965" in said  # published, beside
    assert "Training: 16 different pictures among 16; 0 groups of copies" in said
    assert "1 blank" in said
    assert "NOT what FER-2013 published" in said
    assert "PublicTest in Training: 1 identical picture, 1 of them with another label" in said
    assert "PublicTest: no picture of disgust" in said


def test_prepare_faces_fails_where_a_class_has_no_picture(tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "x.png", grey=1)
    result = CliRunner().invoke(app, ["prepare", "faces", "--data", str(tmp_path)])
    assert result.exit_code == DatasetError.exit_code
    words = "Anger Contempt Disgust Fear Happy Neutral Sad Surprised"
    clinical_set(tmp_path / "set", [("0", "f", "25", "RU"), ("1", "m", "50", "")], words)
    result = CliRunner().invoke(app, ["prepare", "faces", "--data", str(tmp_path / "set")])
    assert result.exit_code == 0, result.output
    assert "2 persons" in result.output
    assert "country: not known 1, RU 1" in result.output


def test_a_person_on_both_sides_is_refused_and_shown(tmp_path: Path) -> None:
    words = "Anger Disgust Fear Happy Neutral Sad Surprised"
    for i, side in enumerate(("train", "validation")):
        people = [(str(10 * i + j), "f", "25", "RU") for j in range(2)] + [("77", "m", "40", "")]
        clinical_set(tmp_path / side, people, words)
        files = sorted((tmp_path / side).rglob("*.jpg"))
        for file, pixels in zip(files, drawn(len(files), 60, seed=50 + i), strict=True):
            write(file, pixels)  # other ones on each side, also of the person on both
    text = "set_id,gender,age,country\n" + "".join(f"{j},f,25,RU\n" for j in (0, 1, 10, 11, 77))
    for side in ("train", "validation"):
        (tmp_path / side / "people.csv").unlink()
    (tmp_path / "people.csv").write_text(text)
    train, validation = load(tmp_path)
    with pytest.raises(DatasetError, match=r"1 group in both.*77"):
        refuse_leak(train, validation)
    result = CliRunner().invoke(app, ["prepare", "faces", "--data", str(tmp_path)])
    assert "LEAK: 1 person in both own split, train and" in " ".join(result.output.split())
