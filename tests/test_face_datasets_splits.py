"""What the emotion experiment learns from and is scored on, and the leak detector before it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


from edge_app.errors import DatasetError  # noqa: E402
from tests.face_files import (  # noqa: E402
    clinical_set,
    copy_into_training,
    drawn,
    fer_folders,
    picture,
    write,
)
from trainer.datasets import clinical_faces  # noqa: E402
from trainer.datasets.fer2013 import LABELS  # noqa: E402
from trainer.evaluate import choose_split  # noqa: E402
from trainer.experiment import Split  # noqa: E402
from trainer.experiments import emotion_data  # noqa: E402
from trainer.experiments.emotion import EmotionExperiment  # noqa: E402
from trainer.experiments.emotion_data import FacePictures  # noqa: E402
from trainer.experiments.emotion_options import EmotionOptions  # noqa: E402
from trainer.splits import find_leak, refuse_leak  # noqa: E402

EIGHT = {"classes": clinical_faces.LABELS, "split": "own"}


def reader(**options: object) -> FacePictures:
    return FacePictures(EmotionOptions.model_validate(options))


def load(path: Path, **options: object) -> tuple[Split, Split]:
    pictures = reader(**options)
    return emotion_data.load_splits(pictures, path, pictures.options)


def evaluation(path: Path, **options: object) -> tuple[Split, tuple[str, ...]]:
    pictures = reader(**options)
    return emotion_data.load_evaluation(pictures, path, pictures.options), pictures.notes


# ---- what is learnt from and what is scored


def test_copies_leave_training_unless_they_are_kept_and_leak(tmp_path: Path) -> None:
    root = fer_folders(tmp_path, "Training", "PublicTest")
    copy_into_training(root, "sad")
    train, validation = load(root)
    assert (len(train.targets), len(validation.targets)) == (14, 14)
    assert find_leak(train, validation) is None
    untouched = load(root, clean_copies=False, drop_conflicting=False)
    assert len(untouched[0].targets) == 15
    with pytest.raises(DatasetError, match=r"1 of 14 pictures.*1 with another label.*--allow-leak"):
        refuse_leak(*untouched)
    said = refuse_leak(*untouched, allow=True)
    assert said is not None
    assert said.startswith("1 of 14 pictures of own split named PublicTest are pixel-identical")


def test_a_split_that_is_not_fer_2013s_is_not_called_so(tmp_path: Path) -> None:
    fer_folders(tmp_path, "Training", "PublicTest")
    train, validation = load(tmp_path)
    assert (train.name, validation.name) == (
        "own split named Training",
        "own split named PublicTest",
    )
    split, notes = evaluation(tmp_path)
    assert split.name == "own split named PublicTest"
    assert any("figures do not compare" in note for note in notes)


def test_public_test_is_scored_where_private_test_is_mixed_in(tmp_path: Path) -> None:
    fer_folders(tmp_path, "PublicTest", "PrivateTest", n=1)
    split, notes = evaluation(tmp_path / "test")
    assert split.name == "own split named PublicTest"
    assert all("PublicTest_" in name for name in split.examples)
    assert any("left alone: 7 of PrivateTest" in note for note in notes)
    for file in tmp_path.rglob("PublicTest_*"):
        file.unlink()
    assert evaluation(tmp_path / "test")[0].name == "own split named PrivateTest"


def test_training_pictures_are_never_scored_as_fer_2013(tmp_path: Path) -> None:
    fer_folders(tmp_path, "Training", n=1)
    with pytest.raises(DatasetError, match="Training pictures are learnt from"):
        evaluation(tmp_path)
    with pytest.raises(DatasetError, match=r"no PublicTest pictures.*split=own"):
        load(tmp_path)


def test_some_classes_are_enough_to_score_and_their_absence_is_said(tmp_path: Path) -> None:
    picture(tmp_path / "Happy" / "x.png", grey=5)
    picture(tmp_path / "surprised" / "x.png", grey=6, size_px=100)
    split, notes = evaluation(tmp_path)
    assert split.targets.tolist() == [LABELS.index("happy"), LABELS.index("surprise")]
    assert split.inputs[0].shape == (2, 1, 48, 48)
    assert split.inputs[0].dtype == torch.uint8
    assert any("no picture of angry, disgust, fear, sad, neutral" in note for note in notes)


def test_a_class_without_pictures_cannot_be_learnt(tmp_path: Path) -> None:
    fer_folders(tmp_path, "Training", "PublicTest")
    for file in (tmp_path / "train" / "fear").iterdir():
        file.unlink()
    with pytest.raises(DatasetError, match=r"no picture to learn fear from.*'fear': 0"):
        load(tmp_path)
    for file in (tmp_path / "test" / "fear").iterdir():
        file.unlink()
    six = [label for label in LABELS if label != "fear"]
    assert int(load(tmp_path, classes=six)[0].targets.max()) == 5


def test_own_folders_train_and_validation_are_used_as_they_are(tmp_path: Path) -> None:
    pixels = iter(drawn(28, seed=2))
    for side in ("train", "val", "test"):
        for label in LABELS:
            write(tmp_path / side / label / "x.png", next(pixels))
    train, validation = load(tmp_path)
    assert (train.name, validation.name) == ("own split, train", "own split, validation")
    split, notes = evaluation(tmp_path)
    assert split.name == "own split, test"
    assert any("left alone" in note for note in notes)
    content = (tmp_path / "val" / "sad" / "x.png").read_bytes()
    (tmp_path / "train" / "sad" / "copy.png").write_bytes(content)
    with pytest.raises(DatasetError, match="pixel-identical"):
        refuse_leak(*load(tmp_path, clean_copies=False))


def test_a_folder_without_sides_is_divided_when_asked_to(tmp_path: Path) -> None:
    pixels = iter(drawn(70, seed=5))
    for label in LABELS:
        for i in range(10):
            write(tmp_path / label / f"{i}.png", next(pixels))
    with pytest.raises(DatasetError, match=r"--set experiment\.split=own"):
        load(tmp_path)
    train, validation = load(tmp_path, split="own")
    held_out, _ = evaluation(tmp_path, split="own")
    assert [len(one.targets) for one in (train, validation, held_out)] == [42, 14, 14]
    for one, other in ((train, validation), (train, held_out), (validation, held_out)):
        assert find_leak(one, other) is None


def test_a_place_that_was_not_learnt_from_is_scored_undivided(tmp_path: Path) -> None:
    pixels = iter(drawn(21, seed=6))
    for label in LABELS:
        for i in range(3):
            write(tmp_path / label / f"{i}.png", next(pixels))
    held_out, notes = evaluation(tmp_path, split="own")
    assert any(f"so {len(held_out.targets)} of 21 pictures" in note for note in notes)
    assert any("--split all" in note for note in notes)
    experiment = EmotionExperiment(EmotionOptions(split="own"))
    everything = choose_split(experiment, tmp_path, "all")
    assert len(held_out.targets) < len(everything.targets) == 21
    assert experiment.subsets(tmp_path, everything) == {}  # no picture is a copy of itself
    assert not any("divided" in note for note in experiment.remarks({}, everything)["notes"])
    shutil.rmtree(tmp_path / "happy")
    shutil.rmtree(tmp_path / "sad")
    (tmp_path / "fear" / "0.png").unlink()
    assert len(EmotionExperiment(EmotionOptions(split="own")).load_all(tmp_path).targets) == 14


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_pictures_to_divide_are_refused(tmp_path: Path, n: int) -> None:
    for i in range(n):
        picture(tmp_path / "happy" / f"{i}.png", grey=i)
    with pytest.raises(DatasetError, match="too few persons or pictures"):
        load(tmp_path, split="own")


def test_persons_stay_whole_and_bring_their_attributes(tmp_path: Path) -> None:
    people = [
        (str(i), "male" if i % 2 else "female", str(20 + 2 * i), "RU" if i % 3 else "India")
        for i in range(12)
    ]
    words = "Anger Contempt Disgust Fear Happy Neutral Sad Surprised"
    root = clinical_set(tmp_path, people, words)
    train, validation = load(root, **EIGHT)
    held_out, _ = evaluation(root, **EIGHT)
    groups = [set(one.groups) for one in (train, validation, held_out)]
    assert [len(one) for one in groups] == [8, 2, 2]
    assert len(set.union(*groups)) == 12
    assert train.name == "clinical faces, own split, train"
    assert held_out.attributes is not None
    for name in ("age_group", "gender", "country"):
        assert len(set(held_out.attributes[name])) == 2  # both kinds among two persons
    everyone, _ = evaluation(root)  # by a model that learnt elsewhere
    assert everyone.name == "clinical faces"
    assert len(everyone.targets) == 12 * 7
    assert everyone.attributes is not None
    assert len(everyone.attributes["country_raw"]) == 12 * 7


def test_an_own_split_of_training_has_its_copies_told_apart(tmp_path: Path) -> None:
    pictures = reader(split="own")
    root = fer_folders(tmp_path / "fer", "Training", n=10)
    held_out = emotion_data.load_evaluation(pictures, root, pictures.options)
    masks = emotion_data.subset_masks(pictures, root, held_out)
    assert masks["duplicate_free"].tolist() == [True] * 14
    assert any("14 of 70 pictures are scored" in note for note in pictures.notes)


def test_copies_of_a_held_out_persons_picture_leave_training(tmp_path: Path) -> None:
    people = [(str(i), "male", "30", "RU") for i in range(12)]
    root = clinical_set(tmp_path, people, "Anger Contempt Disgust Fear Happy Neutral Sad Surprised")
    before, _ = load(root, **EIGHT)
    held_out, _ = evaluation(root, **EIGHT)
    source, target = held_out.groups[0], before.groups[0]
    content = (root / source / "Fear.jpg").read_bytes()
    (root / target / "Fear.jpg").write_bytes(content)
    pictures = reader(**EIGHT)
    train, _ = emotion_data.load_splits(pictures, root, pictures.options)
    again = emotion_data.load_evaluation(pictures, root, pictures.options)
    assert sorted(set(again.groups)) == sorted(set(held_out.groups))
    assert len(train.targets) == len(before.targets) - 1
    assert find_leak(train, again) is None
    masks = emotion_data.subset_masks(pictures, root, again)
    assert int((~masks["duplicate_free"]).sum()) == 1


def test_two_sides_of_one_size_are_compared(tmp_path: Path) -> None:
    pixels = drawn(13, seed=3)
    for side, taken in (("train", pixels[:7]), ("val", np.concatenate([pixels[7:], pixels[6:7]]))):
        for label, one in zip(LABELS, taken, strict=True):
            write(tmp_path / side / label / "x.png", one)
    pictures = reader()
    split = emotion_data.load_evaluation(pictures, tmp_path, pictures.options)
    masks = emotion_data.subset_masks(pictures, tmp_path, split)
    assert int(masks["duplicate_free"].sum()) == 6


def test_where_pictures_come_from_is_kept_for_the_card(tmp_path: Path) -> None:
    fer_folders(tmp_path, "PublicTest", n=1)
    pictures = reader()
    emotion_data.load_evaluation(pictures, tmp_path, pictures.options)
    (origin,) = pictures.origins
    assert origin["layout"].startswith("FER-2013's folders")
    assert origin["pictures"] == {"PublicTest": 7}
    assert len(origin["fingerprint"]) == 16
    assert not any(str(tmp_path.parent) in note for note in pictures.notes)


# ---- leaks


def split_of(pixels: np.ndarray, groups: list[str], targets: list[int], name: str) -> Split:
    return Split(
        (torch.from_numpy(pixels[:, None]),), torch.tensor(targets), np.array(groups), name
    )


def test_a_shared_person_and_a_shared_picture_are_told_apart() -> None:
    pixels = drawn(4)
    train = split_of(pixels[:2], ["ada", "ben"], [0, 1], "train")
    clean = split_of(pixels[2:], ["cy", "dee"], [0, 1], "validation")
    assert find_leak(train, clean) is None
    person = find_leak(train, split_of(pixels[2:], ["cy", "ben"], [0, 1], "validation"))
    assert person is not None
    assert (person.n_groups, person.groups, person.copies) == (1, ("ben",), 0)
    copied = find_leak(train, split_of(pixels[1:3], ["cy", "dee"], [0, 1], "validation"))
    assert copied is not None
    assert (copied.n_groups, copied.copies, copied.other_label, copied.of) == (0, 1, 1, 2)
