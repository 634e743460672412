"""Weights from a local file: a torchvision-format state dict fits, anything else is refused."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from edge_app.errors import ConfigError  # noqa: E402
from trainer.experiments.emotion_models import (  # noqa: E402
    build_face_model,
    pretrained_weights,
    put_pretrained,
)
from trainer.experiments.emotion_options import EmotionOptions  # noqa: E402
from trainer.models.resnet50 import ResNet50  # noqa: E402
from trainer.models.resnet50_weights import read_resnet50_weights  # noqa: E402
from trainer.recipe import load_recipe  # noqa: E402

State = dict[str, torch.Tensor]


def torchvision_shapes() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of torchvision's resnet50, written down from its description."""
    shapes: dict[str, tuple[int, ...]] = {}

    def normed(convolution: str, norm: str, out: int, into: int, side: int) -> None:
        shapes[f"{convolution}.weight"] = (out, into, side, side)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = (out,)
        shapes[f"{norm}.num_batches_tracked"] = ()

    normed("conv1", "bn1", 64, 3, 7)
    into = 64
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            normed(f"{at}.conv1", f"{at}.bn1", width, into, 1)
            normed(f"{at}.conv2", f"{at}.bn2", width, width, 3)
            normed(f"{at}.conv3", f"{at}.bn3", 4 * width, width, 1)
            if block == 0:
                normed(f"{at}.downsample.0", f"{at}.downsample.1", 4 * width, into, 1)
            into = 4 * width
    return shapes | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}


def empty_state() -> State:
    """Return the right names and shapes over one stored number each: a small file."""
    return {
        name: torch.zeros((), dtype=torch.int64 if name.endswith("tracked") else None).expand(shape)
        for name, shape in torchvision_shapes().items()
    }


def options_of(model: str, pretrained: Path | None, **changes: object) -> EmotionOptions:
    return EmotionOptions.model_validate({"model": model, "pretrained": pretrained, **changes})


def blank(options: EmotionOptions) -> torch.nn.Module:
    """Return the network with zeros for weights: drawing 24 million takes a while."""
    with torch.device("meta"):
        model = build_face_model(options, 7)
    model = model.to_empty(device="cpu")
    for value in model.state_dict().values():
        value.zero_()
    return model


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, State]]:
    with torch.device("meta"):
        whole = ResNet50(1000)
    generator = torch.Generator().manual_seed(4)
    state = whole.to_empty(device="cpu").state_dict()
    for value in state.values():
        if value.is_floating_point():
            value.uniform_(0.5, 1.0, generator=generator)
        else:
            value.fill_(7)
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.save(state, path)
    yield path, state
    path.unlink()


def test_names_and_shapes_are_those_of_torchvision() -> None:
    with torch.device("meta"):
        state = ResNet50(1000).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == torchvision_shapes()
    assert len(state) == 320


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("resnet50", ""), ("cbam_resnet50", "base."), ("frozen_resnet50", "base.")],
)
def test_a_state_dict_of_torchvision_fills_all_but_the_head(
    name: str, prefix: str, learnt: tuple[Path, State]
) -> None:
    path, state = learnt
    options = options_of(name, path)
    model = blank(options)
    put_pretrained(model, options)
    filled = model.state_dict()
    below = {f"{prefix}{key}": value for key, value in state.items() if not key.startswith("fc.")}
    assert below.keys() <= filled.keys()
    assert all(filled[key].equal(value) for key, value in below.items())
    heads = filled.keys() - below.keys()
    assert heads
    assert not any(bool(filled[key].any()) for key in heads)


def test_the_file_is_named_with_its_sha256(learnt: tuple[Path, State]) -> None:
    path, _ = learnt
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_resnet50_weights(path).origin == f"resnet50.pth, sha256 {digest}"


def test_files_without_a_head_with_another_or_without_counts_fit(tmp_path: Path) -> None:
    state = empty_state()
    old = {name: value for name, value in state.items() if not name.endswith("tracked")}
    headless = {name: value for name, value in state.items() if not name.startswith("fc.")}
    other = state | {"fc.weight": torch.zeros(8, 2048), "fc.bias": torch.zeros(8)}
    half = {name: v.half() if v.is_floating_point() else v for name, v in state.items()}
    for i, variant in enumerate((old, headless, other, half)):
        torch.save(variant, tmp_path / f"{i}.pth")
        weights = read_resnet50_weights(tmp_path / f"{i}.pth").weights
        assert weights["layer4.2.bn3.running_var"].dtype == torch.float32
        assert not any(name.startswith("fc.") for name in weights)


def without(state: State, name: str) -> State:
    return {key: value for key, value in state.items() if key != name}


WRONG = {
    "missing layer3.5.conv2.weight": lambda s: without(s, "layer3.5.conv2.weight"),
    "unknown layer5.0.conv1.weight": lambda s: s | {"layer5.0.conv1.weight": torch.zeros(1)},
    "missing bn1.bias, bn1.running_mean, bn1.running_var and .* more; unknown module.": lambda s: {
        f"module.{name}": value for name, value in s.items()
    },
    "conv1.weight has another shape": lambda s: s | {"conv1.weight": torch.zeros(64, 1, 7, 7)},
    "conv1.weight has another type": lambda s: (
        s | {"conv1.weight": torch.zeros(64, 3, 7, 7, dtype=torch.int32)}
    ),
    "bn1.bias is not finite": lambda s: s | {"bn1.bias": torch.full((64,), torch.nan)},
    "more than tensors .*state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "no pretrained weights that can be read": lambda s: list(s.values()),
}


@pytest.mark.parametrize("match", WRONG)
def test_weights_that_do_not_fit_are_refused_by_name(match: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(WRONG[match](empty_state()), path)
    with pytest.raises(ConfigError, match=match) as caught:
        read_resnet50_weights(path)
    assert "torchvision's" in str(caught.value)
    assert "from scratch" in str(caught.value)


class Sly:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


def test_files_that_are_no_state_dict_are_refused_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(empty_state(), tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    contents = {
        "empty": b"",
        "text": b"<html>not found</html>",
        "half": whole[: len(whole) // 2],
        "code": pickle.dumps(Sly(), protocol=2),
        "newer code": pickle.dumps(Sly(), protocol=4),
        "zip": b"PK\x03\x04" + bytes(200),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match="no pretrained weights that can be read"):
            read_resnet50_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ConfigError, match="cannot read the pretrained weights"):
        read_resnet50_weights(tmp_path / "absent.pth")
    with pytest.raises(ConfigError, match="cannot read the pretrained weights"):
        read_resnet50_weights(tmp_path)


def test_only_a_frozen_base_needs_pretrained_weights() -> None:
    with pytest.raises(ConfigError, match=r"would stay random.*experiment\.freeze=false"):
        pretrained_weights(load_recipe(Path("emotion_frozen_resnet50")).experiment.options)
    for name, freeze in (("frozen_resnet50", False), ("resnet50", True), ("clinical_cnn", True)):
        assert pretrained_weights(options_of(name, None, freeze=freeze)) is None


def test_building_reads_no_file_and_normalises_as_the_weights_expect() -> None:
    with torch.device("meta"):
        build_face_model(options_of("frozen_resnet50", Path("nowhere.pth")), 7)
    built = {path: ResNet50(7, imagenet=path is not None, width=1) for path in (None, Path("x"))}
    white = torch.full((1, 1, 48, 48), 255, dtype=torch.uint8)
    assert float(built[None].input(white).max()) == pytest.approx(1.0)
    assert float(built[Path("x")].input(white).max()) == pytest.approx((1 - 0.406) / 0.225)


def test_pretrained_weights_are_refused_for_a_network_without_a_resnet() -> None:
    with pytest.raises(ConfigError, match="pretrained weights fit frozen_resnet50, resnet50"):
        load_recipe(Path("emotion_clinical_cnn"), ("experiment.pretrained=resnet50.pth",))
