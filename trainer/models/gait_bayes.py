"""Gait parameters to frailty by a naive Bayes classifier whose evidence can be read off.

Each parameter is taken as independent of the others given the class, so what is known of a person
adds up: one term a parameter and class. A parameter that is not known is left out of the sum, which
is the exact marginal of the model. That the parameters do depend on each other makes the sum too
sure of itself; the temperature (``trainer/calibrate.py``) takes that back.

Source: naive Bayes as in Hand and Yu 2001, doi 10.1111/j.1751-5823.2001.tb00465.x.
Differs: Student's t instead of the normal density, so that no single value, however absurd, weighs
without limit (Lange et al. 1989, doi 10.1080/01621459.1989.10478852); class spreads are drawn
towards the common one, since 21 people are few; classes weigh alike, whatever their shares.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

DEGREES_OF_FREEDOM = 4.0
"""Of Student's t: the smaller, the less a far value weighs. Not tuned."""
FLOOR_SHARE = 0.1
"""A standard deviation below this share of the usual one is the sensor's resolution, no finding."""


class GaitBayes(nn.Module):
    """``forward(gait)``: (n, n_parameters) physical units, NaN or infinite = unknown, to logits.

    Args:
        spread: (n_parameters,) True for standard deviations: they are positive and go through the
            logarithm.
        n_classes: number of labels.
    """

    def __init__(self, spread: npt.NDArray[np.bool_], n_classes: int) -> None:
        super().__init__()
        n = len(spread)
        self.register_buffer("spread", torch.from_numpy(np.asarray(spread)))
        self.register_buffer("floor", torch.ones(n))
        self.register_buffer("centre", torch.zeros(n_classes, n))
        self.register_buffer("scale", torch.ones(n_classes, n))
        self.register_buffer("lowest", torch.full((n,), -math.inf))
        self.register_buffer("highest", torch.full((n,), math.inf))

    def forward(self, gait: Tensor) -> Tensor:
        """Return (n, n_classes) logits."""
        return self.contributions(gait).sum(dim=1)

    def contributions(self, gait: Tensor) -> Tensor:
        """Return (n, n_parameters, n_classes): what each parameter adds to each class's logit.

        A parameter's mean over the classes is 0, so a positive entry speaks for its class.
        """
        unknown = torch.isnan(gait - gait)  # infinity minus infinity is NaN as well
        values = self._transformed(torch.where(unknown, torch.ones_like(gait), gait))
        scale = self.get_buffer("scale")
        z = (values[:, None] - self.get_buffer("centre")) / scale
        half = (DEGREES_OF_FREEDOM + 1.0) / 2.0
        terms = -half * torch.log1p(z * z / DEGREES_OF_FREEDOM) - torch.log(scale)
        centred = (terms - terms.mean(dim=1, keepdim=True)).transpose(1, 2)
        return torch.where(unknown[:, :, None], torch.zeros_like(centred), centred)

    def familiar(self, gait: Tensor) -> Tensor:
        """Return (n, n_parameters) float: 1 where somebody learnt from was as low, and as high."""
        inside = (gait >= self.get_buffer("lowest")) & (gait <= self.get_buffer("highest"))
        return inside.float()  # a comparison with NaN is false: what is unknown is not familiar

    def _transformed(self, gait: Tensor) -> Tensor:
        positive = torch.maximum(gait, self.get_buffer("floor"))
        return torch.where(self.get_buffer("spread"), torch.log(positive), gait)

    def learn(
        self, gait: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], shrinkage: float
    ) -> None:
        """Set centres and scales from people.

        Args:
            gait: (n, n_parameters) in physical units, complete.
            targets: (n,) classes, at least two people of each.
            shrinkage: 0: each class its own spread, 1: one spread for all.
        """
        floor = FLOOR_SHARE * np.median(gait, axis=0)
        spread = self.get_buffer("spread").numpy()
        self.get_buffer("floor").copy_(torch.from_numpy(np.where(spread, floor, 1.0)))
        with torch.no_grad():
            values = self._transformed(torch.from_numpy(gait).float()).double().numpy()
        n_classes = len(self.get_buffer("centre"))
        sides = [values[targets == label] for label in range(n_classes)]
        centre = np.stack([side.mean(axis=0) for side in sides])
        own = np.stack([side.std(axis=0, ddof=1) for side in sides])
        squares = sum(((side - side.mean(axis=0)) ** 2).sum(axis=0) for side in sides)
        common = np.sqrt(squares / (len(values) - n_classes))
        common = np.where(common > 0.0, common, 1.0)  # a constant says nothing, at any scale
        own = np.maximum(own, FLOOR_SHARE * common)  # people alike by chance are not that alike
        scale = np.exp((1.0 - shrinkage) * np.log(own) + shrinkage * np.log(common))
        self.get_buffer("centre").copy_(torch.from_numpy(centre))
        self.get_buffer("scale").copy_(torch.from_numpy(scale))
        self.get_buffer("lowest").copy_(torch.from_numpy(gait.min(axis=0)))
        self.get_buffer("highest").copy_(torch.from_numpy(gait.max(axis=0)))


class ExplainedGait(nn.Module):
    """The shipped graph: ``(logits, probabilities, contributions, familiar)``.

    Args:
        model: the classifier.
        temperature: divides the logits before the softmax.
    """

    def __init__(self, model: GaitBayes, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, gait: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits, probabilities, the terms that sum to the logits, and what is familiar."""
        contributions = self.model.contributions(gait)
        logits = contributions.sum(dim=1)
        probabilities = torch.softmax(logits / self.temperature, dim=-1)
        return logits, probabilities, contributions, self.model.familiar(gait)


def centres(model: GaitBayes) -> npt.NDArray[np.float32]:
    """Return golden inputs: class centres, some with unknown, absurd or no values at all."""
    spread = model.get_buffer("spread")
    centre = model.get_buffer("centre")
    rows = torch.where(spread, torch.exp(centre), centre).numpy()
    mean = rows.mean(axis=0)
    odd = np.arange(len(mean)) % 2 == 1
    cases = [*rows, mean, np.where(odd, np.nan, mean), np.where(odd, 50.0 * mean, mean)]
    cases.append(np.full_like(mean, np.nan))
    return np.stack(cases).astype(np.float32)
