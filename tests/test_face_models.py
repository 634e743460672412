"""The papers' six networks: sizes, what they see, what is frozen, and that ONNX says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch.nn import functional  # noqa: E402

from trainer.calibrate import Calibrated  # noqa: E402
from trainer.experiment import Graph  # noqa: E402
from trainer.experiments.emotion_models import build_face_model  # noqa: E402
from trainer.experiments.emotion_options import EmotionOptions  # noqa: E402
from trainer.models.attention_cnn import AttentionCnn  # noqa: E402
from trainer.models.baseline_cnn import BaselineCnn  # noqa: E402
from trainer.models.cbam import Cbam, ChannelAttention, SpatialAttention  # noqa: E402
from trainer.models.cbam_resnet50 import CbamResNet50  # noqa: E402
from trainer.models.clinical_cnn import ClinicalCnn  # noqa: E402
from trainer.models.face_input import FaceInput  # noqa: E402
from trainer.models.frozen_resnet50 import FrozenResNet50  # noqa: E402
from trainer.models.resnet50 import ResNet50  # noqa: E402
from trainer.onnx_graph import export_graph, run_torch  # noqa: E402
from trainer.recipe import load_recipe  # noqa: E402

TINY: dict[str, Any] = {"size_px": 64, "blocks": (1, 2, 1, 1), "width": 8}
COUNTS = {
    "clinical_cnn": (320 + 18_496 + 73_856) + (6 * 6 * 128 * 128 + 128) + (128 * 7 + 7),
    "baseline_cnn": (896 + 18_496 + 73_856) + (16 * 16 * 128 * 256 + 256) + (256 * 7 + 7),
    "attention_cnn": 8_483_911 + 7 * 7 * 2,
    "resnet50": 23_522_375,
    "cbam_resnet50": 23_522_375 + 524_386,
    "frozen_resnet50": 23_522_375
    - (2048 * 7 + 7)
    + (2048 * 256 + 256 + 256 * 128 + 128 + 128 * 7 + 7),
}


def tiny(name: str) -> torch.nn.Module:
    """Return a small one of that kind whose batch norms know their inputs."""
    torch.manual_seed(3)
    small: dict[str, Any] = {"filters": (4, 6, 8), "dense": (10,)}
    model = {
        "clinical_cnn": lambda: ClinicalCnn(7, **small),
        "baseline_cnn": lambda: BaselineCnn(7, **small),
        "attention_cnn": lambda: AttentionCnn(7, **small),
        "resnet50": lambda: ResNet50(7, **TINY),
        "cbam_resnet50": lambda: CbamResNet50(ResNet50(7, **TINY)),
        "frozen_resnet50": lambda: FrozenResNet50(
            settled(ResNet50(7, imagenet=True, **TINY)), 7, (10,)
        ),
    }[name]()
    return settled(model)


def settled(model: torch.nn.Module) -> torch.nn.Module:
    """Let batch norms take the statistics of random faces, as training would."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    model.train()
    with torch.no_grad():
        for seed in range(4):
            model(grey(4, seed))
    return model.eval()


def grey(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 1, 48, 48), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", COUNTS)
def test_the_recipe_of_each_paper_builds_a_network_of_its_size(name: str) -> None:
    recipe = load_recipe(Path(f"emotion_{name}"))
    options = recipe.experiment.options
    assert isinstance(options, EmotionOptions)
    assert (options.model, recipe.fit.optimiser, recipe.fit.learning_rate) == (name, "adam", 1e-3)
    with torch.device("meta"):
        model = build_face_model(options, 7)
    assert sum(parameter.numel() for parameter in model.parameters()) == COUNTS[name]


def test_cbam_on_2048_channels_has_the_size_of_its_paper() -> None:
    assert sum(p.numel() for p in Cbam(2048).parameters()) == 2 * 2048 * 128 + 98 == 524_386


@pytest.mark.parametrize("imagenet", [False, True])
def test_faces_are_resized_as_opencv_does_and_scaled(imagenet: bool) -> None:
    face = grey(1, 5)
    seen = FaceInput(128, imagenet=imagenet)(face).numpy()[0]
    resized = cv2.resize(face[0, 0].numpy().astype(np.float32), (128, 128))  # bilinear
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    for channel in range(3):
        expected = resized / 255.0
        if imagenet:
            expected = (expected - mean[channel]) / std[channel]
        assert np.abs(seen[channel] - expected).max() < 2e-5
    assert torch.equal(FaceInput(48, channels=1)(face), face / 255.0)


def test_channel_attention_is_the_equation_of_the_paper() -> None:
    attention = ChannelAttention(4, reduction=2)
    maps = np.random.default_rng(0).normal(size=(2, 4, 3, 5)).astype(np.float32)
    narrow, wide = (attention.mlp[i].weight.detach().numpy() for i in (0, 2))
    logits = sum(
        np.maximum(pooled @ narrow.T, 0.0) @ wide.T
        for pooled in (maps.mean(axis=(2, 3)), maps.max(axis=(2, 3)))
    )
    expected = maps / (1.0 + np.exp(-logits))[:, :, None, None]
    assert np.allclose(attention(torch.from_numpy(maps)).detach().numpy(), expected, atol=1e-6)


def test_spatial_attention_is_the_equation_of_the_paper() -> None:
    attention = SpatialAttention(3)
    maps = np.random.default_rng(1).normal(size=(1, 4, 5, 6)).astype(np.float32)
    kernel = attention.convolution.weight.detach().numpy()[0]
    both = np.pad(np.stack([maps[0].mean(axis=0), maps[0].max(axis=0)]), ((0, 0), (1, 1), (1, 1)))
    expected = np.empty_like(maps)
    for row in range(5):
        for column in range(6):
            logit = float((both[:, row : row + 3, column : column + 3] * kernel).sum())
            expected[0, :, row, column] = maps[0, :, row, column] / (1.0 + np.exp(-logit))
    assert np.allclose(attention(torch.from_numpy(maps)).detach().numpy(), expected, atol=1e-6)


def test_cbam_weighs_channels_first_and_then_places() -> None:
    cbam = Cbam(8, reduction=2)
    maps = torch.rand(2, 8, 9, 9, generator=torch.Generator().manual_seed(1))
    assert torch.equal(cbam(maps), cbam.spatial(cbam.channel(maps)))
    assert not torch.allclose(cbam(maps), cbam.channel(cbam.spatial(maps)))


def test_resnet_is_its_weights_under_the_published_wiring() -> None:
    """Written anew over the bare weights: the stride in the 3x3, ReLU after the sum."""
    model = tiny("resnet50")
    weights = model.state_dict()

    def normed(maps: torch.Tensor, name: str) -> torch.Tensor:
        parts = (weights[f"{name}.{part}"] for part in ("running_mean", "running_var"))
        scale, offset = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return functional.batch_norm(maps, *parts, scale, offset)

    def convolved(maps: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        kernel = weights[f"{name}.weight"]
        return functional.conv2d(maps, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    face = grey(2, 9)
    scaled = functional.interpolate(face / 255.0, size=(64, 64), mode="bilinear").repeat(1, 3, 1, 1)
    maps = functional.relu(normed(convolved(scaled, "conv1", 2), "bn1"))
    maps = functional.max_pool2d(maps, 3, stride=2, padding=1)
    for stage, blocks in enumerate(TINY["blocks"], start=1):
        for block in range(blocks):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            inner = functional.relu(normed(convolved(maps, f"{at}.conv1"), f"{at}.bn1"))
            inner = functional.relu(normed(convolved(inner, f"{at}.conv2", stride), f"{at}.bn2"))
            inner = normed(convolved(inner, f"{at}.conv3"), f"{at}.bn3")
            if block == 0:
                down = convolved(maps, f"{at}.downsample.0", stride)
                maps = normed(down, f"{at}.downsample.1")
            maps = functional.relu(maps + inner)
    expected = maps.mean(dim=(2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]
    with torch.no_grad():
        assert torch.allclose(model(face), expected, atol=1e-4)


@pytest.mark.parametrize("freeze", [True, False])
def test_a_frozen_base_keeps_weights_and_statistics_while_the_head_learns(freeze: bool) -> None:
    torch.manual_seed(0)
    model = FrozenResNet50(ResNet50(7, **TINY), 7, (10,), freeze=freeze)
    optimiser = torch.optim.Adam(model.parameters(), 0.01, weight_decay=0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(2):
        model.train()
        logits = model(grey(8))
        functional.cross_entropy(logits, torch.arange(8) % 7).backward()
        optimiser.step()
        optimiser.zero_grad()
    moved = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    heads = {name for name in before if name.startswith("head.")}
    assert heads <= moved
    if freeze:
        assert moved == heads
    else:
        assert {"base.conv1.weight", "base.bn1.running_mean", "base.bn1.running_var"} <= moved
    assert all(module.training != freeze for module in model.base.modules())
    assert model.head.training
    assert not model.eval().head.training


@pytest.mark.parametrize("name", COUNTS)
def test_the_layer_to_explain_gives_maps_that_the_answer_depends_on(name: str) -> None:
    model = tiny(name)
    seen: list[torch.Tensor] = []
    hook = model.explain_layer.register_forward_hook(lambda *call: seen.append(call[2]))
    logits = model(grey(2).float().requires_grad_())
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[:, 3].sum(), seen)
    assert gradient.ndim == 4
    assert gradient.shape == seen[0].shape
    assert min(gradient.shape[2:]) >= 2
    assert all(float(of_one.abs().max()) > 0.0 for of_one in gradient)
    assert not any("explain_layer" in key for key in model.state_dict())


def parity(model: torch.nn.Module, folder: Path) -> float:
    """Return the largest difference between ONNX Runtime and torch."""
    faces = grey(2, 11).numpy()
    outputs = ("logits", "probabilities")
    graph = Graph("model", Calibrated(model, 1.3), {"face": faces}, outputs)
    spec = export_graph(graph, folder)
    assert spec.opset == 17
    assert [(t.name, t.dtype, t.shape) for t in spec.inputs] == [("face", "uint8", (1, 1, 48, 48))]
    assert [(t.name, t.shape) for t in spec.outputs] == [(name, (1, 7)) for name in outputs]
    session = onnxruntime.InferenceSession(str(folder / spec.file))
    worst = 0.0
    for i in range(2):
        wanted = run_torch(graph.module, (torch.from_numpy(faces[i : i + 1]),))
        answers = session.run(None, {"face": faces[i : i + 1]})
        pairs = zip(answers, wanted, strict=True)
        worst = max(worst, *(float(np.abs(got - want).max()) for got, want in pairs))
        assert answers[1].sum() == pytest.approx(1.0, abs=1e-5)
    return worst


@pytest.mark.parametrize("name", COUNTS)
def test_onnx_runtime_says_what_torch_says(name: str, tmp_path: Path) -> None:
    assert parity(tiny(name), tmp_path) <= 1e-4


def test_a_whole_resnet50_with_cbam_exports(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = CbamResNet50(ResNet50(7))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(grey(2))
    assert parity(model.eval(), tmp_path) <= 1e-4
