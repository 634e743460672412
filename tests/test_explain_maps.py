"""Maps and the deletion test on models whose answer is known to lie in one patch."""

from __future__ import annotations

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("captum")
pytestmark = pytest.mark.torch

from torch import Tensor, nn  # noqa: E402

from edge_app.errors import ConfigError, TrainingError  # noqa: E402
from trainer.explanation import deletion  # noqa: E402
from trainer.explanation.deletion import area, compare, deletion_curves, hidden_steps  # noqa: E402
from trainer.explanation.explain import blurred, completeness  # noqa: E402
from trainer.explanation.maps import METHODS, make_maps  # noqa: E402

SIDE = 24
ROWS, COLUMNS = slice(4, 10), slice(12, 20)


class PatchModel(nn.Module):
    """Two logits: the weighted sum of one patch's pixels, and minus that. Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.zeros(SIDE, SIDE)
        self.weights[ROWS, COLUMNS] = torch.linspace(0.5, 1.5, 48).reshape(6, 8) / 1000.0
        self.maps = nn.Identity()

    @property
    def explain_layer(self) -> nn.Module:
        return self.maps

    def forward(self, face: Tensor) -> Tensor:
        total = (self.maps(face.float())[:, 0] * self.weights).sum(dim=(1, 2))
        return torch.stack([total, -total], dim=1)


def pictures(n: int = 6) -> Tensor:
    """Return black pictures with a bright noisy patch."""
    faces = torch.zeros(n, 1, SIDE, SIDE)
    noise = torch.rand(n, 6, 8, generator=torch.Generator().manual_seed(1))
    faces[:, 0, ROWS, COLUMNS] = 150.0 + 100.0 * noise
    return faces.to(torch.uint8)


def maps_of(faces: Tensor, mean_face: Tensor) -> object:
    return make_maps(PatchModel(), faces, torch.zeros(len(faces), dtype=torch.long), mean_face)


def test_integrated_gradients_of_a_linear_model_are_weights_times_change() -> None:
    faces, mean_face = pictures(), torch.full((1, 1, SIDE, SIDE), 40.0)
    found = maps_of(faces, mean_face)
    weights = PatchModel().weights
    assert torch.allclose(found.maps["ig_black"], weights * faces[:, 0].float(), atol=1e-5)
    expected = weights * (faces[:, 0].float() - 40.0)
    assert torch.allclose(found.maps["ig_mean_face"], expected, atol=1e-5)
    assert torch.allclose(found.sums["ig_mean_face"].float(), expected.sum((1, 2)), rtol=1e-4)
    for figures in completeness(found).values():
        assert (figures["n"], figures["share_within"]) == (6, 1.0)
        assert figures["largest_missed"] < 1e-3


def test_what_does_not_add_up_is_reported() -> None:
    found = maps_of(pictures(), torch.zeros(1, 1, SIDE, SIDE))
    found.sums["ig_black"][:3] *= 1.2
    figures = completeness(found)["ig_black"]
    assert figures["share_within"] == 0.5
    assert figures["largest_missed"] == pytest.approx(0.2, abs=1e-4)


def test_occlusion_is_the_mean_loss_of_the_patches_over_a_pixel() -> None:
    faces = pictures(1)
    found = maps_of(faces, torch.zeros(1, 1, SIDE, SIDE)).maps["occlusion"][0]
    gain = (PatchModel().weights * faces[0, 0]).double()  # 4-pixel squares every 2 pixels
    losses = [[[] for _ in range(SIDE)] for _ in range(SIDE)]
    for top in range(0, SIDE - 3, 2):
        for left in range(0, SIDE - 3, 2):
            loss = float(gain[top : top + 4, left : left + 4].sum())
            for row in range(top, top + 4):
                for column in range(left, left + 4):
                    losses[row][column].append(loss)
    expected = np.array([[np.mean(cell) for cell in row] for row in losses])
    assert np.allclose(found.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_every_map_peaks_inside_the_patch(method: str) -> None:
    for one in maps_of(pictures(), torch.zeros(1, 1, SIDE, SIDE)).maps[method]:
        row, column = divmod(int(one.argmax()), SIDE)
        assert row in range(*ROWS.indices(SIDE)), method
        assert column in range(*COLUMNS.indices(SIDE)), method


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mean_face = torch.full((1, 1, SIDE, SIDE), 40.0)
    whole = maps_of(pictures(), mean_face)
    monkeypatch.setattr("trainer.explanation.maps.CHUNK", 4)
    parts = maps_of(pictures(), mean_face)
    for name in METHODS:
        assert torch.allclose(whole.maps[name], parts.maps[name], atol=1e-6)


def test_pictures_are_hidden_from_the_first_square_of_the_order_on() -> None:
    order = torch.arange(143, -1, -1)  # 12 x 12 squares of 2 pixels, from the last to the first
    shown = hidden_steps(torch.ones(1, SIDE, SIDE), torch.zeros(1, SIDE, SIDE), order)
    assert shown.shape == (25, 1, SIDE, SIDE)
    assert shown.sum(dim=(1, 2, 3)).tolist() == [4.0 * (144 - 6 * step) for step in range(25)]
    assert shown[12, 0, :12].min() == 1.0
    assert shown[12, 0, 12:].max() == 0.0


def test_areas_are_those_of_trapezia() -> None:
    shares = np.array([0.0, 0.25, 1.0])
    assert area(np.array([1.0, 0.6, 0.2]), shares) == pytest.approx(0.25 * 0.8 + 0.75 * 0.4)


def test_true_maps_beat_random_ones_and_themselves_moved() -> None:
    faces, blank = pictures(12), torch.zeros(1, 1, SIDE, SIDE)
    found = maps_of(faces, blank)
    predicted = torch.zeros(12, dtype=torch.long)
    curves = deletion_curves(PatchModel(), faces, predicted, found.maps, blank)
    groups = np.array([f"person {i}" for i in range(12)])
    for name, ours in curves.by_method.items():
        assert np.allclose(ours[:, -1], 0.5)  # nothing is left: both logits are 0
        random = compare(ours, curves.random, curves.shares, groups)
        assert random.difference.high < 0.0, name
        assert random.p < 0.001
        assert random.better == 1.0
        assert compare(ours, curves.moved[name], curves.shares, groups).difference.high < 0.0


def test_a_map_of_noise_beats_no_random_map() -> None:
    faces, blank = pictures(20), torch.zeros(1, 1, SIDE, SIDE)
    noise = torch.rand(20, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    predicted = torch.zeros(20, dtype=torch.long)
    curves = deletion_curves(PatchModel(), faces, predicted, {"noise": noise}, blank)
    groups = np.array([f"person {i}" for i in range(20)])
    found = compare(curves.by_method["noise"], curves.random, curves.shares, groups)
    assert found.p > 0.01
    assert found.difference.low < 0.0 < found.difference.high


def test_equal_maps_are_no_better() -> None:
    curves = np.linspace(1.0, 0.0, 5)[None].repeat(4, axis=0)
    shares = np.linspace(0.0, 1.0, 5)
    found = compare(curves, curves[:, None], shares, np.array(list("abcd")))
    assert (found.p, found.better, found.difference.value) == (1.0, 0.0, 0.0)


def test_the_count_of_maps_is_that_of_the_progress_bar() -> None:
    told = []
    faces, blank = pictures(2), torch.zeros(1, 1, SIDE, SIDE)
    maps = {"a": torch.rand(2, SIDE, SIDE), "b": torch.rand(2, SIDE, SIDE)}
    predicted = torch.zeros(2, dtype=torch.long)
    deletion_curves(PatchModel(), faces, predicted, maps, blank, advance=told.append)
    assert sum(told) == deletion.maps_tried(2, 2)


def test_blurring_keeps_the_mean_of_a_plain_picture_and_no_detail() -> None:
    assert torch.allclose(blurred(torch.full((1, 1, SIDE, SIDE), 90.0)), torch.tensor(90.0))
    checks = torch.zeros(1, 1, SIDE, SIDE)
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 255.0
    assert float(blurred(checks).std()) < 5.0


def test_a_network_without_a_layer_is_refused() -> None:
    class Bare(nn.Module):
        def forward(self, face: Tensor) -> Tensor:
            return face.float().mean(dim=(1, 2, 3))[:, None].repeat(1, 2)

    with pytest.raises(TrainingError, match="explain_layer"):
        make_maps(Bare(), pictures(1), torch.zeros(1, dtype=torch.long), torch.zeros(1, 1, 24, 24))


def test_without_captum_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ConfigError, match=r"bedside\[train\]"):
        maps_of(pictures(1), torch.zeros(1, 1, SIDE, SIDE))
