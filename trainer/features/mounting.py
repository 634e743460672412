"""Another mounting of the same sensor: random turns for augmentation, not part of any graph."""

from __future__ import annotations

import torch
from torch import Tensor


def random_rotations(n: int, largest_rad: float, generator: torch.Generator) -> Tensor:
    """Return ``(n, 3, 3)`` rotations about random axes by up to ``largest_rad``."""
    device = generator.device
    axis = torch.randn(n, 3, generator=generator, device=device)
    axis = axis / axis.norm(dim=1, keepdim=True).clamp(min=1e-6)
    angle = largest_rad * torch.rand(n, 1, 1, generator=generator, device=device)
    x, y, z = axis.unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=1).view(n, 3, 3)
    identity = torch.eye(3, device=device)
    # Rodrigues' formula
    return identity + angle.sin() * cross + (1.0 - angle.cos()) * (cross @ cross)
