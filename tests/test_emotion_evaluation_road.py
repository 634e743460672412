"""``trainer evaluate`` on a bundle of facial expressions: the stable call and what it is asked."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from edge_app.errors import ConfigError, ContractError, DatasetError, EdgeAppError  # noqa: E402
from edge_app.inference.bundle import load_bundle  # noqa: E402
from tests.scored_faces import LABELS, bundle_at  # noqa: E402
from tests.toy_experiment import ToyExperiment, ToyOptions  # noqa: E402
from trainer.baseline import in_order, refuse_other_pictures  # noqa: E402
from trainer.cli import app  # noqa: E402
from trainer.emotion_evaluation.card import measured  # noqa: E402
from trainer.emotion_evaluation.corruptions import CORRUPTIONS  # noqa: E402
from trainer.evaluate import evaluate_data  # noqa: E402
from trainer.examination import NO_WISHES, Wishes, refuse_what_cannot_be  # noqa: E402
from trainer.experiment import Split  # noqa: E402

RECIPE = """
task: emotion
seed: 1
experiment: {}
fit: {passes: 1, batch: 8, learning_rate: 0.1}
"""


def write_face(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grain = np.random.default_rng(seed).integers(90, 160, (48, 48)).astype(np.uint8)
    cv2.imwrite(str(path), grain)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures of each class; the bundle calls all of them by the last one, ``neutral``."""
    for index, label in enumerate(LABELS):
        for k in range(3):
            write_face(tmp_path / "faces" / label / f"{k}.png", 10 * index + k)
    return tmp_path / "faces"


@pytest.fixture
def clinical(tmp_path: Path) -> Path:
    rows = ["set_id,gender,age,country"]
    for person in range(6):
        gender = "FEMALE" if person % 2 else "MALE"
        rows.append(f"{person},{gender},{25 + 3 * person},{'RU' if person < 2 else 'IN'}")
        for index, name in enumerate(("Anger", "Happy", "Neutral")):
            write_face(tmp_path / "people" / str(person) / f"{name}.png", 100 * person + index)
    (tmp_path / "people" / "people.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "people"


def evaluated(bundle: Path, data: Path, out: Path, *words: object) -> dict:
    call = ["evaluate", str(bundle), "--data", str(data), "--json", str(out), *map(str, words)]
    result = CliRunner().invoke(app, call, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict = json.loads(out.read_text())
    return found | {"_said": result.output}


def test_the_stable_call_and_what_it_adds(pictures: Path, tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path, recipe=RECIPE).path
    write_face(tmp_path / "old" / "happy" / "copy.png", 30)  # the first happy one's pixels
    found = evaluated(bundle, pictures, tmp_path / "out.json", "--duplicates-of", tmp_path / "old")
    assert found["n"] == 21
    assert found["accuracy"] == pytest.approx(3 / 21)  # all are called neutral
    f1 = 2 * 3 / (21 + 3)
    assert found["macro_f1"] == pytest.approx(f1 / 7)
    assert found["ece"] == pytest.approx(1 - 3 / 21, abs=0.05)
    neutral = found["per_class"]["neutral"]
    assert (neutral["support"], neutral["answered"]) == (3, 21)
    assert neutral["precision"] == pytest.approx(3 / 21)
    assert neutral["recall"] == 1.0
    assert found["per_class"]["happy"]["npv"] == pytest.approx(18 / 21)
    free = found["subsets"]["duplicate_free"]
    assert free["n"] == 20
    assert free["accuracy"] == pytest.approx(3 / 20)
    assert {"accuracy", "macro_f1", "ece", "per_class", "n"} <= set(free)
    assert set(found["robustness"]["groups"]) == {"brightness", "contrast", "sharpness"}
    assert found["by"] == {}
    assert "mcnemar" not in found
    assert "robustness, not fairness" in found["_said"]
    assert any("who is shown" in note.lower() for note in found["notes"])


@pytest.mark.parametrize(("place", "n"), [("other", 21), ("half", 12), ("all", 0), ("faces", 0)])
def test_duplicate_free_is_there_whatever_the_other_folder_holds(
    place: str, n: int, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.emotion_evaluation.pictures.DPI", 20)
    bundle = bundle_at(tmp_path, recipe=RECIPE).path
    write_face(tmp_path / "other" / "me.png", 999)
    for index, label in enumerate(LABELS):
        for k in range(3):
            write_face(tmp_path / "all" / label / f"{k}.png", 10 * index + k)
            if index < 3:
                write_face(tmp_path / "half" / label / f"{k}.png", 10 * index + k)
    words = ("--duplicates-of", tmp_path / place, "--pictures", tmp_path / "png")
    found = evaluated(bundle, pictures, tmp_path / "out.json", *words, "--baseline", bundle)
    free = found["subsets"]["duplicate_free"]
    stable = {"accuracy", "macro_f1", "ece", "per_class", "n"}
    assert stable <= set(free)
    assert free["n"] == n
    assert (free["accuracy"] is None) == (n == 0)
    assert any("no duplicate_free picture" in note for note in found["notes"]) == (n == 0)
    assert ("confusion_duplicate_free.png" in found["pictures"]) == (n > 0)
    if n:
        measured = {"calibration_before", "calibration_after", "risk_coverage", "mcnemar"}
        assert measured <= set(free)
        assert free["mcnemar"]["both_right"] + free["mcnemar"]["both_wrong"] == n


@pytest.mark.parametrize("labels", [LABELS, ("happy",), ("angry", "neutral")])
def test_one_picture_a_class_and_classes_without_any(
    labels: tuple[str, ...], tmp_path: Path
) -> None:
    bundle = bundle_at(tmp_path, recipe=RECIPE).path
    for index, label in enumerate(labels):
        write_face(tmp_path / "few" / label / "one.png", index)
    found = evaluated(bundle, tmp_path / "few", tmp_path / "out.json")
    right = int("neutral" in labels)  # all are called neutral
    assert (found["n"], found["accuracy"]) == (len(labels), right / len(labels))
    for label, row in found["per_class"].items():
        assert row["support"] == int(label in labels)
        assert (row["intervals"]["recall"] is None) == (label not in labels)
    assert "nan" not in (tmp_path / "out.json").read_text().lower()
    text = measured(found)
    assert text is not None
    for label in LABELS:
        assert (f"No picture of {label} was scored." in text) == (label not in labels)
        assert (f"Weak class {label}: " not in text) or label in labels
    assert "of its 0 " not in text


def test_a_network_that_answers_no_numbers_is_refused(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_at(tmp_path, recipe=RECIPE)
    nothing = {name: np.full((1, 7), np.nan, np.float32) for name in ("logits", "probabilities")}
    monkeypatch.setattr(type(bundle.runners["model"]), "run", lambda *_: nothing)
    with pytest.raises(ContractError, match="no probabilities"):
        evaluate_data(bundle, pictures)


def test_corruptions_a_baseline_and_pictures(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.emotion_evaluation.pictures.DPI", 20)
    bundle = bundle_at(tmp_path, recipe=RECIPE).path
    other = bundle_at(tmp_path / "other", recipe=RECIPE).path
    words = ("--corruptions", "--baseline", other, "--pictures", tmp_path / "png")
    found = evaluated(bundle, pictures, tmp_path / "out.json", *words)
    assert set(found["robustness"]["corruptions"]) == set(CORRUPTIONS)
    assert found["mcnemar"]["name"] == "tiny_emotion"
    assert (found["mcnemar"]["p"], found["mcnemar"]["only_model"]) == (1.0, 0)
    assert found["mcnemar"]["both_right"] == 3
    assert {path.name for path in (tmp_path / "png").iterdir()} == set(found["pictures"])
    assert "samples.png" in found["pictures"]


def test_later_figures_go_into_the_card(pictures: Path, tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path, recipe=RECIPE).path
    first = evaluated(bundle, pictures, tmp_path / "out.json")
    (bundle / "metrics.json").write_text(json.dumps(first))
    (bundle / "README.md").write_text("# tiny\n\n## Measured\n\nnothing yet\n")
    haar = ("--through-detector", "--into-card")
    found = evaluated(bundle, pictures, tmp_path / "out.json", *haar)
    through = found["through_detector"]
    assert through["n"] == sum(through["reasons"].values()) == 21
    assert through["accuracy"]["bare"] == pytest.approx(found["accuracy"])
    card = (bundle / "README.md").read_text()
    assert card.startswith("# tiny\n\n## Measured\n\nBy `trainer evaluate`")
    assert "nothing yet" not in card
    assert "Through the bedside's detector and crop:\n\n- detector: " in card
    assert json.loads((bundle / "metrics.json").read_text())["through_detector"] == through
    assert load_bundle(bundle).manifest.name == "tiny_emotion"  # the seal is as it was


def test_the_clinical_table_by_gender_age_and_country(clinical: Path, tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path, recipe=RECIPE).path
    words = ("--by", "gender", "--by", "age_group", "--by", "country")
    found = evaluated(bundle, clinical, tmp_path / "out.json", *words)
    assert found["interval_over"] == "person"
    assert found["groups"] == 6
    gender = found["by"]["gender"]["groups"]
    assert {name: (row["n"], row["units"]) for name, row in gender.items()} == {
        "female": (9, 3),
        "male": (9, 3),
    }
    assert found["by"]["age_group"]["groups"]["Under_31"]["n"] == 6  # 25 and 28 years old
    assert set(found["by"]["country"]["groups"]) == {"RU", "Other"}
    assert all(row["few"] for row in gender.values())
    assert gender["female"]["recall"]["neutral"] == 1.0
    assert gender["female"]["recall"]["disgust"] is None
    assert found["by"]["gender"]["shuffled"] == "person"


def test_demographics_that_are_not_there_are_refused_before_scoring(
    pictures: Path, tmp_path: Path
) -> None:
    bundle = bundle_at(tmp_path, recipe=RECIPE).path
    with pytest.raises(ConfigError, match="do not say who is shown") as refused:
        evaluated(bundle, pictures, tmp_path / "out.json", "--by", "gender")
    assert "robustness, not fairness" in str(refused.value)
    assert not (tmp_path / "out.json").exists()


def test_an_attribute_that_is_not_among_them_is_named(clinical: Path, tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path, recipe=RECIPE).path
    with pytest.raises(ConfigError, match="no handedness") as refused:
        evaluated(bundle, clinical, tmp_path / "out.json", "--by", "handedness")
    assert "gender" in str(refused.value)


@pytest.mark.parametrize("option", ["--baseline", "--duplicates-of", "--detector"])
def test_what_is_missing_is_told_at_once(option: str, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgeAppError, match="no such file or folder"):
        evaluated(tmp_path, pictures, tmp_path / "out.json", option, tmp_path / "missing")


def test_a_task_that_is_not_examined_says_so() -> None:
    toy = ToyExperiment(ToyOptions())
    split = toy.load_evaluation(Path("anywhere"))
    refuse_what_cannot_be(toy, split, NO_WISHES)
    with pytest.raises(ConfigError, match="not examined"):
        refuse_what_cannot_be(toy, split, Wishes(corruptions=True))


def test_a_baseline_with_the_same_classes_in_another_order_is_put_in_order() -> None:
    said = np.array([[0.7, 0.2, 0.1]], dtype=np.float32)
    assert in_order(said, ("a", "b", "c"), ("c", "a", "b")).tolist() == [
        pytest.approx([0.1, 0.7, 0.2])
    ]


def test_answers_for_other_pictures_are_not_paired() -> None:
    def split(targets: list[int]) -> Split:
        return Split((), torch.tensor(targets), np.array(["x"] * len(targets)), "faces")

    refuse_other_pictures(split([0, 1]), split([0, 1]), "older")
    with pytest.raises(DatasetError, match="other pictures"):
        refuse_other_pictures(split([0, 1]), split([1, 0]), "older")
