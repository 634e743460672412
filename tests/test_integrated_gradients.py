"""Integrated Gradients add up also where a network saturates, and are those of Captum."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("captum")
pytestmark = pytest.mark.torch

from captum.attr import IntegratedGradients  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from trainer.explanation import integrated_gradients as ours  # noqa: E402
from trainer.explanation.integrated_gradients import integrated_gradients  # noqa: E402

SIDE = 12
BLACK = torch.zeros(1, SIDE, SIDE)


class Steep(nn.Module):
    """A logit that has all of its height in the first ten-thousandth of the way."""

    def __init__(self, steepness: float) -> None:
        super().__init__()
        self.steepness = steepness

    def forward(self, face: Tensor) -> Tensor:
        reached = torch.tanh(self.steepness * face.mean(dim=(1, 2, 3)) / 255.0)
        return torch.stack([-reached, reached], dim=1)


def rough_network() -> nn.Module:
    """Return convolutions with ReLU and max-pool: a logit with hundreds of bends on the way."""
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(1, 24, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(24, 24, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(24 * 9, 3),
    )  # fmt: skip


def faces(n: int) -> Tensor:
    return 255.0 * torch.rand(n, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))


def share_missed(pixels: Tensor, difference: float) -> float:
    return abs(float(pixels.double().sum()) - difference) / abs(difference)


def test_a_saturated_network_adds_up_where_even_steps_do_not() -> None:
    model, face = Steep(20_000.0), faces(1)[0]
    found = integrated_gradients(model, face, 1, BLACK)
    assert found.difference == pytest.approx(1.0, abs=1e-6)  # tanh of ten thousand less tanh of 0
    assert share_missed(found.pixels, found.difference) <= 0.02
    even = IntegratedGradients(model).attribute(face[None], target=1, n_steps=50)
    assert share_missed(even, found.difference) > 0.05
    # The logit reads the mean alone, so each pixel's part is its share of the light.
    assert torch.allclose(found.pixels, face[0] / face.sum(), rtol=0.02)


def test_attributions_are_captums_on_a_smooth_network() -> None:
    model, face, baseline = Steep(2.0), faces(1)[0], torch.full((1, SIDE, SIDE), 60.0)
    found = integrated_gradients(model, face, 0, baseline)
    theirs = IntegratedGradients(model).attribute(
        face[None], baselines=baseline[None], target=0, n_steps=200
    )
    assert torch.allclose(found.pixels, theirs[0, 0].float(), rtol=0.02, atol=1e-7)


def test_attributions_are_captums_on_a_network_with_bends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ours, "MISSED_AT_MOST", 0.0)  # every point that is allowed
    model, face = rough_network(), faces(1)[0]
    found = integrated_gradients(model, face, 2, BLACK)
    assert found.points >= ours.MOST_POINTS
    theirs = IntegratedGradients(model).attribute(
        face[None], target=2, n_steps=400, method="riemann_middle"
    )[0, 0]
    assert float((found.pixels - theirs).abs().max()) < 0.02 * float(theirs.abs().max())


def test_every_picture_adds_up() -> None:
    model = rough_network()
    for face in faces(8):
        for label in range(3):
            found = integrated_gradients(model, face, label, BLACK)
            assert share_missed(found.pixels, found.difference) <= 0.021
            assert found.points <= ours.MOST_POINTS + ours.POINTS_A_ROUND


def test_what_jumps_cannot_add_up_and_is_not_tried_for_ever() -> None:
    class Jump(nn.Module):
        def forward(self, face: Tensor) -> Tensor:
            mean = face.mean(dim=(1, 2, 3))
            return (1e-3 * mean + (mean > 40.0).float())[:, None]

    found = integrated_gradients(Jump(), faces(1)[0], 0, BLACK)
    assert ours.MOST_POINTS <= found.points < ours.MOST_POINTS + ours.POINTS_A_ROUND
    assert share_missed(found.pixels, found.difference) > 0.5


def test_the_baseline_itself_has_nothing_to_explain() -> None:
    found = integrated_gradients(rough_network(), BLACK, 0, BLACK)
    assert (found.difference, found.points) == (0.0, ours.FIRST_POINTS)
    assert not found.pixels.any()
