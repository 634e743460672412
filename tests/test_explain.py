"""``trainer explain`` on a run and on a bundle of it; what cannot be explained is said."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("captum")
pytestmark = pytest.mark.torch

from rich.console import Console  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from edge_app.errors import ConfigError, DatasetError, SinkError, TrainingError  # noqa: E402
from tests.face_experiment import CORNER, CornerNet, FaceExperiment  # noqa: E402
from tests.face_run import FACES, trained_run  # noqa: E402
from trainer import registry  # noqa: E402
from trainer.calibrate import Calibrated  # noqa: E402
from trainer.cli import app  # noqa: E402
from trainer.experiment import Graph, Split  # noqa: E402
from trainer.experiments import emotion_models  # noqa: E402
from trainer.experiments.emotion_models import build_face_model  # noqa: E402
from trainer.experiments.emotion_options import EmotionOptions  # noqa: E402
from trainer.explanation.explain import Wanted, choose, explain_pictures  # noqa: E402
from trainer.explanation.maps import METHODS  # noqa: E402
from trainer.explanation.onnx_weights import put_onnx_weights  # noqa: E402
from trainer.explanation.report import deletion_table  # noqa: E402
from trainer.explanation.torch_model import load_explained  # noqa: E402
from trainer.export import export  # noqa: E402
from trainer.models.resnet50 import ResNet50  # noqa: E402
from trainer.onnx_graph import export_graph  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402

FEW = Wanted(n=2, per_class=True, deletion_n=8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDir]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.EXPERIMENTS, "emotion", FACES)
        patch.setattr("trainer.run_dir.draw_png", lambda *_: None)
        yield trained_run(tmp_path_factory.mktemp("explain") / "run")


@pytest.fixture(scope="module")
def bundle(run: RunDir) -> Path:
    return export(run, run.path, run.path.parent / "tiny").path


def test_a_bundle_is_explained_like_the_run_that_it_comes_from(run: RunDir, bundle: Path) -> None:
    ours, rebuilt = load_explained(run.path), load_explained(bundle)
    faces = ours.experiment.load_evaluation(run.path).inputs[0][:50]
    with torch.no_grad():
        difference = (ours.model(faces) - rebuilt.model(faces)).abs().max()
    assert float(difference) < 1e-4
    assert rebuilt.rebuilt_error is not None
    assert rebuilt.rebuilt_error < 1e-4
    assert rebuilt.temperature != 1.0


def test_maps_of_a_trained_network_find_where_the_answer_lies(
    run: RunDir, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.explanation.deletion.RANDOM_MAPS", 2)  # quick
    sheet = tmp_path / "sheet.png"
    found = explain_pictures(bundle, run.path, sheet, FEW, Console(quiet=True))
    assert [example["true"] for example in found["examples"]] == [
        *("low", "low", "middle", "middle", "high", "high")
    ]
    assert set(found["deletion"]) == {"mean_face", "blur"}
    by_mean = found["deletion"]["mean_face"]["methods"]
    assert set(by_mean) == set(METHODS)
    for name in ("ig_mean_face", "occlusion"):
        assert by_mean[name]["against_random"]["difference"]["high"] < 0.0, name
        assert by_mean[name]["against_random"]["p"] < 0.05
    assert sheet.read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "sheet_deletion.png").read_bytes()[:4] == b"\x89PNG"
    json.dumps(found, allow_nan=False)


def test_occlusion_of_a_trained_network_peaks_in_the_corner(run: RunDir) -> None:
    from trainer.explanation.maps import make_maps

    explained = load_explained(run.path)
    split = explained.experiment.load_evaluation(run.path)
    bright = split.inputs[0][split.targets == 2][:10]
    classes = torch.full((10,), 2)
    maps = make_maps(explained.model, bright, classes, split.inputs[0].float().mean(0, True)).maps
    for name in ("ig_mean_face", "occlusion"):
        mean = maps[name].mean(dim=0)
        assert float(mean[CORNER].mean()) > 2.5 * float(mean.abs().mean()), name


def test_the_command_writes_sheet_curves_and_figures(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.explanation.deletion.RANDOM_MAPS", 2)  # quick
    words = [
        *("explain", str(run.path), "--data", str(run.path), "--out", str(tmp_path / "s.png")),
        *("--json", str(tmp_path / "s.json"), "--n", "1", "--deletion-n", "2"),
    ]
    said = CliRunner().invoke(app, words, catch_exceptions=False)
    assert said.exit_code == 0
    assert "Integrated Gradients" in said.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"s.png", "s.json", "s_deletion.png"}
    assert json.loads((tmp_path / "s.json").read_text())["deletion"]["blur"]["n"] == 2


def test_a_sheet_without_a_test_has_no_curves(run: RunDir, tmp_path: Path) -> None:
    wanted = Wanted(n=1, deletion_n=0)
    found = explain_pictures(run.path, run.path, tmp_path / "s.png", wanted, Console(quiet=True))
    assert "deletion" not in found
    assert [path.name for path in tmp_path.iterdir()] == ["s.png"]


def test_what_is_explained_is_what_the_model_reads_of_the_stored_pictures(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, quiet = Wanted(n=3, deletion_n=0), Console(quiet=True)
    plain = explain_pictures(run.path, run.path, tmp_path / "plain.png", wanted, quiet)
    load = FaceExperiment.load_evaluation

    def negatives(self: FaceExperiment, path: Path) -> Split:
        split = load(self, path)
        return replace(split, inputs=(255 - split.inputs[0],), gather=lambda x: (255 - x[0],))

    monkeypatch.setattr(FaceExperiment, "load_evaluation", negatives)
    read = explain_pictures(run.path, run.path, tmp_path / "read.png", wanted, quiet)
    assert read["examples"] == plain["examples"]


def test_pictures_are_drawn_the_same_for_the_same_seed(run: RunDir) -> None:
    split = load_explained(run.path).experiment.load_evaluation(run.path)
    first = choose(split, Wanted(n=5, seed=3)).tolist()
    assert first == choose(split, Wanted(n=5, seed=3)).tolist()
    assert first != choose(split, Wanted(n=5, seed=4)).tolist()
    assert len(set(first)) == 5


def test_what_is_no_run_and_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a run nor a bundle"):
        load_explained(tmp_path)


@pytest.mark.parametrize("name", ["face_vgg", "attention_cnn", "frozen_resnet50", "cbam_resnet50"])
def test_every_kind_of_network_comes_back_from_its_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = partial(ResNet50, size_px=64, blocks=(1, 1, 1, 1), width=4)
    monkeypatch.setattr(emotion_models, "ResNet50", small)
    options = EmotionOptions.model_validate(
        {"model": name, "channels": [4, 8], "filters": [4, 8], "dense": [8], "freeze": False}
    )
    torch.manual_seed(2)
    model = build_face_model(options, 7).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                torch.nn.init.uniform_(values, 0.5, 1.5)
    faces = torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8)
    outputs = ("logits", "probabilities")
    export_graph(Graph("model", Calibrated(model, 1.3), {"face": faces.numpy()}, outputs), tmp_path)
    again = build_face_model(options, 7).eval()
    assert not torch.allclose(again(faces), model(faces), atol=1e-3)
    put_onnx_weights(again, tmp_path / "model.onnx", faces[:1])
    assert torch.allclose(again(faces), model(faces), atol=1e-4)


def test_a_file_of_another_network_is_refused(bundle: Path) -> None:
    class Wider(CornerNet):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(8 * 36, 5)

    with pytest.raises(TrainingError, match="another shape"):
        put_onnx_weights(Wider().eval(), bundle / "model.onnx", torch.zeros(1, 1, 24, 24))

    class Deeper(CornerNet):
        def __init__(self) -> None:
            super().__init__()
            self.more = torch.nn.Linear(3, 3)

    with pytest.raises(TrainingError, match=r"does not hold more\.weight"):
        put_onnx_weights(Deeper().eval(), bundle / "model.onnx", torch.zeros(1, 1, 24, 24))


def test_pictures_that_cannot_be_written_are_refused_before_anything_slow(
    run: RunDir, tmp_path: Path
) -> None:
    words = ["explain", str(run.path), "--data", str(run.path), "--out"]
    with pytest.raises(SinkError, match="PNG"):
        CliRunner().invoke(app, [*words, str(tmp_path)], catch_exceptions=False)
    missing = ["explain", str(tmp_path / "no"), "--data", str(tmp_path), "--out", "s.png"]
    with pytest.raises(DatasetError, match="no such"):
        CliRunner().invoke(app, missing, catch_exceptions=False)


def test_the_table_fits_80_columns_and_breaks_no_figure() -> None:
    interval = {"value": -0.111, "low": -0.222, "high": -0.333}
    against = {"area": interval, "other": interval, "difference": interval, "p": 0.0003}
    method = {"against_random": against, "against_moved": against}
    found = {"n": 100, "groups": 100, "methods": dict.fromkeys(METHODS, method)}
    console = Console(width=80, record=True, quiet=False, file=io.StringIO())
    console.print(deletion_table({"mean_face": found, "blur": found}))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    whole = ("[-0.222, -0.333]", "[0.333, 0.222]")
    for shown in whole:
        assert sum(line.count(shown) for line in lines) == 2 * 2 * len(METHODS)
    assert sum("p 0.0003" in line for line in lines) == 2 * len(METHODS)
    assert any(line.strip() == "blur" for line in lines)
