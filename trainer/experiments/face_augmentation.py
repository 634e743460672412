"""Faces as they might have been: moved, relit, partly hidden, mixed; whole batches at once."""

from __future__ import annotations

import math

import numpy as np
import torch
from kornia import augmentation as kornia
from torch import Tensor, nn
from torch.nn import functional

ERASED_SHARE = (0.02, 0.33)
"""Of a picture, painted over: Zhong et al. 2017, arXiv 1708.04896."""


class FaceAugmentation:
    """Random flips, turns, zooms, shifts, shears, light and patches, by kornia.

    Args:
        rotate_deg: largest turn.
        scale: largest share grown or shrunk.
        shift: largest share of the width moved.
        shear_deg: largest shear along the rows.
        brightness: largest share of 255 added.
        contrast: largest share by which the grey levels are stretched.
        erase_probability: share of the faces that a grey patch is painted on.
    """

    def __init__(
        self,
        *,
        rotate_deg: float,
        scale: float,
        shift: float,
        shear_deg: float,
        brightness: float,
        contrast: float,
        erase_probability: float,
    ) -> None:
        steps: list[nn.Module] = [kornia.RandomHorizontalFlip(p=0.5)]
        if rotate_deg or scale or shift or shear_deg:
            steps.append(
                kornia.RandomAffine(
                    rotate_deg,
                    translate=(shift, shift),
                    scale=(1.0 - scale, 1.0 + scale),
                    shear=(-shear_deg, shear_deg),
                    padding_mode="border",
                    p=1.0,
                )
            )
        if brightness:
            steps.append(kornia.RandomBrightness((1.0 - brightness, 1.0 + brightness), p=1.0))
        if contrast:
            steps.append(kornia.RandomContrast((1.0 - contrast, 1.0 + contrast), p=1.0))
        self._steps = nn.Sequential(*steps)
        self._erase = kornia.RandomErasing(ERASED_SHARE, value=0.5, p=erase_probability)

    def __call__(self, faces: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
        """Return the faces as they might have been.

        Args:
            faces: (n, 1, height, width) grey levels 0-255, float.
            size_px: side of what is returned.
            generator: of every draw.

        Returns:
            (n, 1, size_px, size_px) float, within 0 to 255.
        """
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=()):  # kornia draws from torch's own sequence
            torch.manual_seed(seed)
            moved = self._steps(faces / 255.0)
            if moved.shape[-2:] != (size_px, size_px):
                moved = functional.interpolate(
                    moved, size=(size_px, size_px), mode="bilinear", antialias=True
                )
            hidden: Tensor = self._erase(moved)
        return hidden.clamp(0.0, 1.0) * 255.0


def cut_mix(
    faces: Tensor, targets: Tensor, n_labels: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Put the same square of another face into each; the targets are shared by area.

    Args:
        faces: (n, 1, size, size).
        targets: (n,) classes.
        n_labels: number of classes.
        generator: of every draw.

    Returns:
        Faces, and (n, n_labels) shares. Source: Yun et al. 2019, arXiv 1905.04899.
    """
    n, size_px = len(faces), faces.shape[-1]
    device = generator.device
    area = float(torch.rand(1, generator=generator, device=device))
    side = round(size_px * math.sqrt(area))
    top, left = torch.randint(
        0, size_px - side + 1, (2,), generator=generator, device=device
    ).tolist()
    other = torch.randperm(n, generator=generator, device=device)
    mixed = faces.clone()
    square = (slice(None), slice(None), slice(top, top + side), slice(left, left + side))
    mixed[square] = faces[other][square]
    share = side**2 / size_px**2
    shares = functional.one_hot(targets, n_labels).float()
    return mixed, (1.0 - share) * shares + share * shares[other]


def mix_up(
    faces: Tensor, targets: Tensor, n_labels: int, generator: torch.Generator, alpha: float
) -> tuple[Tensor, Tensor]:
    """Lay another face over each, faintly or strongly; the targets are shared alike.

    Args:
        faces: (n, 1, size, size).
        targets: (n,) classes.
        n_labels: number of classes.
        generator: of every draw.
        alpha: the share of the other face is drawn from Beta(alpha, alpha), once a batch.

    Returns:
        Faces, and (n, n_labels) shares. Source: Zhang et al. 2018, arXiv 1710.09412.
    """
    device = generator.device
    seed = int(torch.randint(2**31, (), generator=generator, device=device))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    other = torch.randperm(len(faces), generator=generator, device=device)
    shares = functional.one_hot(targets, n_labels).float()
    mixed = (1.0 - share) * faces + share * faces[other]
    return mixed, (1.0 - share) * shares + share * shares[other]
