"""The emotion experiment: model, augmentation and what goes into its bundle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from typer.testing import CliRunner  # noqa: E402

from edge_app.errors import ConfigError, DatasetError, TrainingError  # noqa: E402
from trainer.cli import app  # noqa: E402
from trainer.datasets.fer2013 import LABELS  # noqa: E402
from trainer.experiment import Split  # noqa: E402
from trainer.experiments.emotion import EmotionExperiment, EmotionOptions  # noqa: E402
from trainer.experiments.face_augmentation import cut_mix  # noqa: E402
from trainer.learning_curve import Row  # noqa: E402
from trainer.models.face_vgg import FaceVgg, shrinking  # noqa: E402
from trainer.narrowing import narrowed  # noqa: E402
from trainer.provenance import Provenance  # noqa: E402
from trainer.splits import refuse_leak  # noqa: E402
from trainer.teachers import Teachers  # noqa: E402

STILL = {
    "rotate_deg": 0.0,
    "scale": 0.0,
    "shift": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "erase_probability": 0.0,
}


def augmented(faces: torch.Tensor, seed: int = 0, **changes: float) -> torch.Tensor:
    experiment = EmotionExperiment(EmotionOptions.model_validate(STILL | changes))
    generator = torch.Generator().manual_seed(seed)
    targets = torch.zeros(len(faces), dtype=torch.int64)
    (moved,), kept = experiment.augment((faces,), targets, generator)
    assert kept is targets
    return moved


@pytest.fixture
def faces() -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (64, 1, 48, 48), dtype=torch.uint8, generator=generator)


def test_with_all_off_faces_are_only_flipped(faces: torch.Tensor) -> None:
    moved = augmented(faces).round().to(torch.uint8)
    same = (moved == faces).all(dim=(1, 2, 3))
    flipped = (moved == faces.flip(3)).all(dim=(1, 2, 3))
    assert bool((same ^ flipped).all())
    assert 16 < int(flipped.sum()) < 48


def test_augmentation_keeps_shape_and_grey_range_and_follows_its_seed(
    faces: torch.Tensor,
) -> None:
    changes = {"rotate_deg": 10.0, "scale": 0.2, "shift": 0.1, "brightness": 0.3, "contrast": 0.3}
    moved = augmented(faces, erase_probability=0.5, **changes)
    assert moved.shape == faces.shape
    assert moved.dtype == torch.float32
    assert float(moved.min()) >= 0.0
    assert float(moved.max()) <= 255.0
    assert torch.equal(moved, augmented(faces, erase_probability=0.5, **changes))
    assert not torch.equal(moved, augmented(faces, seed=1, erase_probability=0.5, **changes))


def test_erasing_paints_one_grey_rectangle() -> None:
    flat = torch.full((200, 1, 48, 48), 77, dtype=torch.uint8)
    erased = augmented(flat, erase_probability=1.0)
    shares = ((erased - 77.0).abs() > 0.01).float().mean(dim=(1, 2, 3))
    assert float(shares.max()) <= 0.34
    assert float(shares.mean()) > 0.05
    for face in erased:
        assert len(torch.unique(face.round())) <= 2
    assert torch.equal(augmented(flat, erase_probability=0.0).round(), flat.float())


def test_a_shift_moves_the_face() -> None:
    dot = torch.zeros((100, 1, 48, 48), dtype=torch.uint8)
    dot[:, :, 22:26, 22:26] = 255
    moved = augmented(dot, shift=0.1)[:, 0]
    columns = (moved.sum(dim=1) * torch.arange(48.0)).sum(dim=1) / moved.sum(dim=(1, 2))
    spread_px = float((columns - 23.5).abs().max())
    assert 3.5 < spread_px <= 0.1 * 48 + 0.1


def test_the_size_of_training_pictures_follows_the_passes(faces: torch.Tensor) -> None:
    options = {"sizes_px": [(0.0, 32), (0.5, 40)], "cutmix_probability": 1.0, "cutmix_until": 0.6}
    experiment = EmotionExperiment(EmotionOptions.model_validate(STILL | options))
    generator = torch.Generator().manual_seed(0)
    seen = []
    for index in range(10):
        experiment.begin_pass(index, 10)
        targets = torch.arange(64) % 7
        (moved,), mixed = experiment.augment((faces,), targets, generator)
        seen.append((moved.shape[-1], mixed.is_floating_point()))
    assert seen == [(32, True)] * 5 + [(40, True)] + [(40, False)] * 4
    with pytest.raises(ValueError, match="rising shares"):
        EmotionOptions.model_validate({"sizes_px": [(0.5, 32)]})


def test_mixing_shares_the_target_by_the_area_of_the_square() -> None:
    greys = torch.arange(7.0)[:, None, None, None].expand(7, 1, 40, 40) + 1.0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        mixed, shares = cut_mix(greys, torch.arange(7), 7, generator)
        for row in range(7):
            own = float((mixed[row] == row + 1.0).float().mean())
            assert float(shares[row, row]) == pytest.approx(own, abs=1e-6)
            for other in range(7):
                area = float((mixed[row] == other + 1.0).float().mean())
                assert float(shares[row, other]) == pytest.approx(area, abs=1e-6)


def test_the_loss_of_shares_is_the_mix_of_the_losses() -> None:
    experiment = EmotionExperiment(EmotionOptions())
    logits = torch.randn(6, 7, generator=torch.Generator().manual_seed(1))
    one, other = torch.arange(6), torch.arange(1, 7)
    eye = torch.eye(7)
    mixed = experiment.loss(torch.nn.Identity(), logits, 0.7 * eye[one] + 0.3 * eye[other], 0.1)
    apart = [experiment.loss(torch.nn.Identity(), logits, t, 0.1) for t in (one, other)]
    assert float(mixed) == pytest.approx(float(0.7 * apart[0] + 0.3 * apart[1]), abs=1e-5)


def test_our_network_has_the_size_it_says_and_takes_bytes() -> None:
    model = FaceVgg(7).eval()
    widths = (16, 48, 112, 224)
    kernels = sum(9 * b * a + 2 * 9 * a * a for b, a in zip((1, *widths), widths, strict=False))
    norms, last = 3 * 2 * sum(widths), 224 * 7 + 7
    assert sum(p.numel() for p in model.parameters()) == kernels + norms + last == 1_460_247
    grey = torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8)
    assert model(grey).shape == (2, 7)
    assert torch.equal(model(grey), model(grey.float()))


def test_answers_are_made_at_the_smaller_size_and_training_at_any() -> None:
    import cv2

    model = FaceVgg(7, (4, 8), answer_px=24, dropout=0.0).eval()
    grey = torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(2)) * 255.0
    halves = np.stack([cv2.resize(one[0].numpy(), (24, 24), interpolation=1) for one in grey])
    assert float((shrinking(48, 24) @ torch.ones(48, 1) - 1.0).abs().max()) < 1e-6
    smooth = torch.nn.functional.interpolate(grey, size=(24, 24), mode="bilinear", antialias=True)
    assert torch.allclose(model(grey), model.answer(smooth), atol=1e-4)
    assert not torch.allclose(model(grey), model.answer(torch.from_numpy(halves)[:, None]))
    assert model.train()(grey[..., :30, :30]).shape == (3, 7)


def test_what_teachers_say_joins_the_labels(tmp_path: Path, faces: torch.Tensor) -> None:
    options = {"model": "face_vgg", "channels": [4, 8], "answer_px": 44}
    models = []
    for name in ("one", "two"):
        experiment = EmotionExperiment(EmotionOptions.model_validate(STILL | options))
        torch.manual_seed(len(models))
        models.append(experiment.build_model().eval())
        row = Row(0, 0.1, 1.0, 1.0, 0.5, 0.5, 1.0)
        (tmp_path / name).mkdir()
        best = {"row": asdict(row), "weights": models[-1].state_dict()}
        torch.save(best, tmp_path / name / "best.pt")
        document = {"task": "emotion", "seed": 1, "experiment": STILL | options}
        document["fit"] = {"passes": 1, "batch": 8, "learning_rate": 0.1}
        (tmp_path / name / "recipe.yaml").write_text(yaml.safe_dump(document))
    taught = STILL | options | {"teachers": [tmp_path / "one", tmp_path / "two"]}
    experiment = EmotionExperiment(EmotionOptions.model_validate(taught | {"teacher_share": 0.6}))
    targets = torch.arange(64) % 7
    (seen,), shares = experiment.augment((faces,), targets, torch.Generator().manual_seed(0))
    with torch.no_grad():
        said = sum(torch.softmax(model.answer(seen), dim=1) for model in models) / 2
    expected = 0.4 * torch.eye(7)[targets] + 0.6 * said
    assert float((shares - expected).abs().max()) < 0.01  # the teachers answer in bfloat16
    assert torch.allclose(shares.sum(dim=1), torch.ones(64), atol=1e-5)


def finished(run: Path, **options: object) -> Path:
    """Write a finished run of random weights."""
    run.mkdir()
    model = EmotionExperiment(EmotionOptions.model_validate(options)).build_model()
    row = Row(0, 0.1, 1.0, 1.0, 0.5, 0.5, 1.0)
    torch.save({"row": asdict(row), "weights": model.state_dict()}, run / "best.pt")
    document = {"task": "emotion", "seed": 1, "experiment": options}
    document["fit"] = {"passes": 1, "batch": 8, "learning_rate": 0.1}
    (run / "recipe.yaml").write_text(yaml.safe_dump(document))
    return run


def test_a_resumed_run_drops_out_the_same_features_though_teachers_are_loaded_anew(
    tmp_path: Path, faces: torch.Tensor
) -> None:
    taught = {"channels": [4, 8], "teachers": [finished(tmp_path / "wide", channels=[4, 8])]}
    experiment = EmotionExperiment(EmotionOptions.model_validate(taught))
    after = []
    for _ in range(2):  # teachers are loaded in the first batch of a process
        torch.manual_seed(4)
        experiment.augment((faces,), torch.arange(64) % 7, torch.Generator().manual_seed(0))
        after.append(torch.rand(5))
    assert torch.equal(*after)


def test_the_story_names_teachers_and_their_own_teachers(tmp_path: Path) -> None:
    first = finished(tmp_path / "first", channels=[4, 8])
    second = finished(tmp_path / "second", channels=[4, 8], teachers=[str(first)])
    by = Provenance("emotion", "trainer fit", "0123abcd", "2 cores", "Python", "2026-11-21")
    (second / "run.json").write_text(json.dumps(asdict(by)))
    options = {"channels": [4, 8], "teachers": [second], "narrowed_from": second}
    told = EmotionExperiment(EmotionOptions.model_validate(options)).story()
    origin = "second (pass 1, 0.5000; trainer fit; 0123abcd; itself taught by first)."
    assert told == f"Taught by {origin} Started from the weights of {origin}"


def test_teachers_see_every_second_picture_mirrored(tmp_path: Path) -> None:
    teachers = Teachers((finished(tmp_path / "wide", channels=[4, 8]),), LABELS)
    one = torch.randint(0, 256, (1, 1, 16, 16), generator=torch.Generator().manual_seed(3)).float()
    batch = torch.cat([one, one, one.flip(-1), one.flip(-1)])
    plain, mirrored, of_mirrored, back = teachers.shares(batch)
    assert torch.equal(batch[1], batch[0])  # the student's pictures stay as they are
    torch.testing.assert_close(plain, back)
    torch.testing.assert_close(mirrored, of_mirrored)
    assert not torch.allclose(plain, mirrored, atol=1e-3)


def test_a_run_that_cannot_teach_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no such run to learn from.*--out .*absent"):
        Teachers((tmp_path / "absent",), LABELS)
    paper = finished(tmp_path / "paper", model="clinical_cnn", filters=[4, 8])
    with pytest.raises(TrainingError, match="cannot teach"):
        Teachers((paper,), LABELS)


def test_a_run_with_other_classes_or_another_order_is_not_learnt_from(tmp_path: Path) -> None:
    alphabetical = finished(tmp_path / "abc", channels=[4, 8], classes=sorted(LABELS))
    spelt = finished(tmp_path / "spelt", channels=[4, 8], classes=["anger", *LABELS[1:]])
    assert len(Teachers((spelt,), LABELS).shares(torch.zeros(1, 1, 48, 48))[0]) == 7
    with pytest.raises(TrainingError, match=r"another order.*neutral, sad, surprise"):
        Teachers((alphabetical,), LABELS)
    options = {"channels": [4, 8], "narrowed_from": alphabetical}
    experiment = EmotionExperiment(EmotionOptions.model_validate(options))
    with pytest.raises(TrainingError, match="another order"):
        experiment.start(experiment.build_model())
    with pytest.raises(TrainingError, match="another order"):
        experiment.story()
    with pytest.raises(ValueError, match="narrowed_from fits face_vgg"):
        EmotionOptions.model_validate(options | {"model": "resnet50"})


@pytest.mark.parametrize(
    "classes", [("angry", "anger"), ("kind 1", "kind 2"), ("радость", "грусть")]
)
def test_classes_that_no_folder_could_be_told_by_are_refused(classes: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="differ in their letters"):
        EmotionOptions(classes=classes)


def test_what_a_run_learns_from_is_looked_for_before_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(EmotionExperiment, "load", lambda _, data: read.append(data))
    monkeypatch.chdir(tmp_path)
    words = ["fit", "emotion", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    refused = CliRunner().invoke(app, words).exception
    assert isinstance(refused, TrainingError)
    assert "trainer fit emotion_teacher --data DIR --out runs/emotion_teacher" in refused.next_step
    assert not read
    assert not (tmp_path / "run").exists()  # which --set would find taken


def test_golden_faces_are_means_of_classes_and_show_nobody(faces: torch.Tensor) -> None:
    experiment = EmotionExperiment(EmotionOptions())
    many = faces.repeat(3, 1, 1, 1)
    many[64:] = many[64:].flip(3)
    targets = torch.arange(192) % 7
    targets[targets == 5] = 6  # no surprise at all
    split = Split((many,), targets, np.array(["x"] * 192), "made up")
    (graph,) = experiment.graphs(FaceVgg(7).eval(), 1.5, split)
    examples = graph.inputs["face"]
    assert examples.shape == (7, 1, 48, 48)
    assert examples.dtype == np.uint8
    by_hand = many[targets == 3].numpy().mean(axis=0)
    assert np.abs(examples[3] - by_hand).max() <= 0.5
    few = Split((faces,), torch.arange(64) % 7, np.array(["x"] * 64), "made up")
    (graph,) = experiment.graphs(FaceVgg(7).eval(), 1.5, few)
    slope = graph.inputs["face"].astype(int)  # nine faces each: their mean might show a person
    assert bool((np.diff(slope, axis=2) >= 0).all())
    assert bool((np.diff(slope, axis=3) >= 0).all())
    assert len({one.tobytes() for one in slope}) == 7


def test_training_and_validation_share_no_picture(data_dir: Path) -> None:
    experiment = EmotionExperiment(EmotionOptions())
    train, validation = experiment.load(data_dir)
    refuse_leak(train, validation)
    assert len(validation.targets) == 3_589
    assert train.inputs[0].dtype == torch.uint8
    assert train.inputs[0].shape[1:] == (1, 48, 48)
    subsets = experiment.subsets(data_dir, experiment.load_evaluation(data_dir))
    assert int(subsets["duplicate_free"].sum()) == 3_589 - 280


def test_a_folder_without_the_splits_is_refused(tmp_path: Path) -> None:
    import cv2

    (tmp_path / "happy").mkdir()
    cv2.imwrite(str(tmp_path / "happy" / "a.png"), np.zeros((48, 48), dtype=np.uint8))
    experiment = EmotionExperiment(EmotionOptions())
    assert experiment.load_evaluation(tmp_path).name == "own split"
    with pytest.raises(DatasetError, match="no PublicTest and no Training"):
        experiment.load(tmp_path)


def test_the_data_are_named_by_what_was_left_out() -> None:
    def name(**options: bool) -> str:
        return EmotionExperiment(EmotionOptions(**options)).parts().data[0].name

    assert name() == "FER-2013 Training, without copies of PublicTest, conflicts, blanks"
    assert name(drop_blank=False) == "FER-2013 Training, without copies of PublicTest, conflicts"
    assert name(drop_conflicting=False, drop_blank=False) == (
        "FER-2013 Training, without copies of PublicTest"
    )


def test_a_narrower_network_keeps_the_weightiest_channels_of_each_stage() -> None:
    torch.manual_seed(3)
    wide = FaceVgg(7, (6, 10), dropout=0.0).eval()
    with torch.no_grad():  # channels that do nothing: gain and offset nought
        for widening, block, idle in (
            (wide.stages[0], wide.stages[1], [1, 4]),
            (wide.stages[3], wide.stages[4], [0, 3, 7, 8]),
        ):
            for norm in (widening[1], block.first[1], block.second[1]):
                norm.weight.uniform_(0.5, 1.0)
                norm.bias.uniform_(-0.5, 0.5)
                norm.weight[idle] = 0.0
                norm.bias[idle] = 0.0
    narrow = FaceVgg(7, (4, 6), dropout=0.0).eval()
    narrow.load_state_dict(narrowed(wide.state_dict(), (4, 6)))
    grey = torch.rand(5, 1, 48, 48) * 255.0
    assert torch.allclose(narrow(grey), wide(grey), atol=1e-5)  # nothing but idle ones was lost
    with pytest.raises(ConfigError, match="is narrower, or not of the same kind"):
        narrowed(wide.state_dict(), (8, 6))
    with pytest.raises(ConfigError, match="is narrower, or not of the same kind"):
        narrowed(wide.state_dict(), (4, 6, 8))


def test_kept_channels_stay_in_their_order_when_nothing_is_cut() -> None:
    torch.manual_seed(4)
    wide = FaceVgg(7, (4, 6))
    same = narrowed(wide.state_dict(), (4, 6))
    assert all(torch.equal(tensor, same[name]) for name, tensor in wide.state_dict().items())


def test_a_network_begins_at_the_mean_of_runs_and_says_so(tmp_path: Path) -> None:
    torch.manual_seed(5)
    runs = [finished(tmp_path / name, channels=[4, 8]) for name in ("one", "two", "three")]
    for run in runs:
        by = Provenance("emotion", "trainer fit", "0123abcd", "2 cores", "Python", "2026-11-21")
        (run / "run.json").write_text(json.dumps(asdict(by)))
    weights = [torch.load(run / "best.pt", weights_only=False)["weights"] for run in runs]
    options = EmotionOptions.model_validate({"channels": [4, 8], "narrowed_from": runs})
    experiment = EmotionExperiment(options)
    model = experiment.build_model()
    experiment.start(model)
    for name, value in model.state_dict().items():
        one, two, three = (each[name].numpy().astype(np.float64) for each in weights)
        np.testing.assert_allclose(value, (one + two + three) / 3, atol=1e-6, err_msg=name)
    said = experiment.story()
    assert said.startswith("Started from the mean of the weights of one (pass 1, ")
    assert "two (pass 1" in said
    assert "three (pass 1" in said


@pytest.mark.parametrize("none", [None, []])
def test_a_network_begins_with_random_weights_where_no_run_is_named(none: object) -> None:
    options = EmotionOptions.model_validate({"channels": [4, 8], "narrowed_from": none})
    assert options.narrowed_from == ()
    assert EmotionOptions.model_validate({"narrowed_from": "runs/one"}).narrowed_from == (
        Path("runs/one"),
    )
