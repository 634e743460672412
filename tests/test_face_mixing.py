"""Faces laid over each other: shares that match the picture, never together with squares."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from trainer.experiments.emotion import EmotionExperiment  # noqa: E402
from trainer.experiments.emotion_options import EmotionOptions  # noqa: E402
from trainer.experiments.face_augmentation import mix_up  # noqa: E402

STILL = dict.fromkeys(
    ("rotate_deg", "scale", "shift", "brightness", "contrast", "erase_probability"), 0.0
)


def test_targets_are_shared_as_the_grey_levels_are() -> None:
    greys = torch.arange(7.0)[:, None, None, None].expand(7, 1, 40, 40)
    shares_seen = []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        mixed, shares = mix_up(greys, torch.arange(7), 7, generator, 0.2)
        # Grey level k is class k, so the mean class of the target is the grey level of the picture.
        torch.testing.assert_close(shares @ torch.arange(7.0), mixed[:, 0, 0, 0])
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(7))
        shares_seen.append(float(shares.max()))
    assert len({round(share, 3) for share in shares_seen}) > 20  # another draw each batch


def test_a_small_alpha_leaves_most_batches_nearly_alone() -> None:
    greys = torch.zeros((50, 1, 4, 4))
    own = []
    for seed in range(300):
        generator = torch.Generator().manual_seed(seed)
        _, shares = mix_up(greys, torch.arange(50), 50, generator, 0.2)
        own.append(float(shares.diagonal().median()))
    extreme = sum(share < 0.05 or share > 0.95 for share in own) / len(own)
    assert extreme == pytest.approx(0.62, abs=0.1)  # of Beta(0.2, 0.2), by its distribution


def test_a_batch_is_mixed_in_one_way_and_neither_at_the_end() -> None:
    options = {"cutmix_probability": 0.5, "mixup_probability": 0.5, "cutmix_until": 0.5}
    experiment = EmotionExperiment(EmotionOptions.model_validate(STILL | options))
    faces = torch.zeros((8, 1, 48, 48), dtype=torch.uint8)
    faces[4:] = 255
    targets = torch.tensor([0] * 4 + [3] * 4)
    kinds = set()
    experiment.begin_pass(0, 2)
    for seed in range(40):
        (mixed,), shares = experiment.augment(
            (faces,), targets, torch.Generator().manual_seed(seed)
        )
        assert shares.is_floating_point()
        between = ((mixed > 1.0) & (mixed < 254.0)).flatten(1)
        kinds.add("laid over" if bool(between.all(dim=1).any()) else "other")
        assert bool((between.all(dim=1) | ~between.any(dim=1)).all())  # no face is mixed both ways
    assert kinds == {"laid over", "other"}
    experiment.begin_pass(1, 2)
    (plain,), labels = experiment.augment((faces,), targets, torch.Generator().manual_seed(1))
    assert not labels.is_floating_point()
    torch.testing.assert_close(plain, faces.float())
    with pytest.raises(ValueError, match="together are at most 1"):
        EmotionOptions.model_validate({"cutmix_probability": 0.6, "mixup_probability": 0.5})
