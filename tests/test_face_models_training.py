"""Training from a local file of weights: they go in once, stay frozen, and are not needed again."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from rich.console import Console  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from edge_app.errors import ConfigError  # noqa: E402
from trainer.cli import app  # noqa: E402
from trainer.experiment import Split  # noqa: E402
from trainer.experiments import emotion_models  # noqa: E402
from trainer.experiments.emotion import EmotionExperiment  # noqa: E402
from trainer.fit import fit  # noqa: E402
from trainer.models import resnet50_weights  # noqa: E402
from trainer.models.resnet50 import ResNet50  # noqa: E402
from trainer.provenance import Provenance  # noqa: E402
from trainer.recipe import Recipe, load_recipe  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402

WHENCE = Provenance("frozen", "trainer fit", "abc123", "2 cores", "torch 2", "2026-01-01")


@pytest.fixture(autouse=True)
def small_resnet(monkeypatch: pytest.MonkeyPatch) -> None:
    small = partial(ResNet50, size_px=64, blocks=(1, 1, 1, 1), width=4)
    monkeypatch.setattr(emotion_models, "ResNet50", small)
    monkeypatch.setattr(resnet50_weights, "ResNet50", small)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return a file as torchvision would write it of so small a network."""
    torch.manual_seed(11)
    path = tmp_path / "small.pth"
    torch.save(resnet50_weights.ResNet50(1000).state_dict(), path)
    return path


def noise(seed: int) -> Split:
    """Return SIMULATED faces: noise."""
    rng = np.random.default_rng(seed)
    pixels = torch.from_numpy(rng.integers(0, 256, (14, 1, 48, 48), dtype=np.uint8))
    names = np.array([f"{seed}-{i}" for i in range(14)])
    return Split((pixels,), torch.arange(14) % 7, names, f"SIMULATED {seed}")


def frozen(weights: Path | None, *changes: str) -> Recipe:
    named = () if weights is None else (f"experiment.pretrained={weights}",)
    always = ("fit.batch=7", "fit.precision=32-true", "fit.passes=1")
    return load_recipe(Path("emotion_frozen_resnet50"), (*named, *always, *changes))


def test_the_file_is_read_once_and_its_layers_stay(weights: Path, tmp_path: Path) -> None:
    stored = torch.load(weights, weights_only=True)
    recipe, run = frozen(weights), RunDir(tmp_path / "run")
    run.create(recipe.to_yaml(), WHENCE, resume=False)
    quiet = Console(quiet=True)
    fit(recipe, noise(0), noise(1), run, quiet)
    weights.unlink()
    rows = fit(frozen(weights, "fit.passes=2"), noise(0), noise(1), run, quiet)
    assert [row.index for row in rows] == [0, 1]
    last = torch.load(run.path / "last.pt", weights_only=True)["model"]
    model = recipe.experiment.build_model()
    fresh = model.state_dict()["head.0.weight"].clone()
    run.load_weights(model, run.load_best().weights, "best.pt")
    for name, value in stored.items():
        if not name.startswith("fc."):
            assert last[f"base.{name}"].equal(value), name
            assert model.state_dict()[f"base.{name}"].equal(value), name
    assert not last["head.0.weight"].equal(fresh)


def test_the_command_records_the_file_and_refuses_before_data_is_read(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def load(_: EmotionExperiment, data: Path) -> tuple[Split, Split]:
        read.append(data)
        return noise(0), noise(1)

    monkeypatch.setattr(EmotionExperiment, "load", load)
    short = ["--set", "fit.batch=7", "--set", "fit.precision=32-true", "--set", "fit.passes=1"]

    def trained(out: str, *more: str) -> BaseException | None:
        words = ["fit", "emotion_frozen_resnet50", "--data", str(tmp_path), *short, *more]
        return CliRunner().invoke(app, [*words, "--out", str(tmp_path / out)]).exception

    for more in ((), ("--pretrained", str(tmp_path / "absent.pth"))):
        refused = trained("refused", *more)
        assert isinstance(refused, ConfigError)
        assert "torchvision" in str(refused)
    assert not read
    assert not (tmp_path / "refused").exists()

    assert trained("run", "--pretrained", str(weights)) is None
    run = json.loads((tmp_path / "run" / "run.json").read_bytes())
    origin = resnet50_weights.read_resnet50_weights(weights).origin
    assert run["pretrained"] == origin
    weights.unlink()
    assert trained("run", "--pretrained", str(weights), "--resume") is None
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["pretrained"] == origin
