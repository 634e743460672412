"""Faces as they might have been: moved, relit, partly hidden, mixed; whole batches at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    """Return n numbers from -1 to 1."""
    return torch.rand(n, generator=generator, device=generator.device) * 2.0 - 1.0


def move(
    faces: Tensor,
    generator: torch.Generator,
    *,
    size_px: int,
    rotate_deg: float,
    scale: float,
    shift: float,
) -> Tensor:
    """Flip, turn, scale and shift each face by its own amounts; borders are repeated.

    Args:
        faces: (n, 1, height, width) float.
        generator: of every draw.
        size_px: side of what is returned.
        rotate_deg: largest turn.
        scale: largest share grown or shrunk.
        shift: largest share of the width moved.

    Returns:
        (n, 1, size_px, size_px).
    """
    n = len(faces)
    flip = torch.where(_uniform(n, generator) < 0, -1.0, 1.0)
    angle = math.radians(rotate_deg) * _uniform(n, generator)
    zoom = 1.0 + scale * _uniform(n, generator)
    # The grid spans -1 to 1, so a shift of the whole width is 2.
    shift_x = 2.0 * shift * _uniform(n, generator)
    shift_y = 2.0 * shift * _uniform(n, generator)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    top = torch.stack([flip * cos, -sin, shift_x], dim=1)
    bottom = torch.stack([flip * sin, cos, shift_y], dim=1)
    grid = functional.affine_grid(
        torch.stack([top, bottom], dim=1), [n, 1, size_px, size_px], align_corners=False
    )
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def relight(
    faces: Tensor, generator: torch.Generator, *, brightness: float, contrast: float
) -> Tensor:
    """Change each face's contrast around its mean, and its brightness.

    Args:
        faces: (n, 1, height, width) grey levels 0-255.
        generator: of every draw.
        brightness: largest share of 255 added.
        contrast: largest share changed.

    Returns:
        The same shape, held within 0 to 255.
    """
    gain = 1.0 + contrast * _uniform(len(faces), generator)
    offset = 255.0 * brightness * _uniform(len(faces), generator)
    mean = faces.mean(dim=(1, 2, 3), keepdim=True)
    faces = (faces - mean) * gain[:, None, None, None] + mean + offset[:, None, None, None]
    return faces.clamp(0.0, 255.0)


def erase(faces: Tensor, generator: torch.Generator, *, probability: float) -> Tensor:
    """Paint one rectangle of 2 to 33 % of some faces in one random grey.

    Args:
        faces: (n, 1, size, size) grey levels.
        generator: of every draw.
        probability: share of the faces that are painted on.

    Returns:
        The same shape. Source: Zhong et al. 2017, arXiv 1708.04896.
    """
    n, size_px = len(faces), faces.shape[-1]
    device = generator.device

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator, device=device)

    area, aspect = draw(0.02, 0.33) * size_px**2, torch.exp(draw(math.log(0.3), math.log(3.3)))
    half_height, half_width = (area * aspect).sqrt() / 2.0, (area / aspect).sqrt() / 2.0
    centre_y, centre_x = draw(0.0, size_px), draw(0.0, size_px)
    grey, chosen = draw(0.0, 255.0), draw(0.0, 1.0) < probability
    at = torch.arange(size_px, device=device, dtype=torch.float32)
    rows = (at[None] - centre_y[:, None]).abs() < half_height[:, None]
    columns = (at[None] - centre_x[:, None]).abs() < half_width[:, None]
    patch = rows[:, None, :, None] & columns[:, None, None, :] & chosen[:, None, None, None]
    return torch.where(patch, grey[:, None, None, None], faces)


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
