"""The deletion test: hide what a map marks, most important first, and watch the probability fall.

Petsiuk et al. 2018 (RISE), arXiv 1806.07421. A map that knows where the model looks makes the
predicted class's probability fall sooner than a random map. Differs: squares are hidden, not
single pixels, for all maps alike, so that a scattered map does not win by making noise; and besides
random maps each method meets its own maps moved elsewhere, which are as smooth as the true ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from trainer.intervals import Interval, bootstrap_over_groups

CELLS = 12
"""Squares a side: 4 pixels each at 48."""
STEPS = 24
RANDOM_MAPS = 5
CHUNK = 256


@dataclass(frozen=True, slots=True)
class Curves:
    """Probability of the class predicted at first, against the share of the picture hidden.

    Args:
        shares: (STEPS + 1,) from 0 to 1.
        by_method: method to (n, STEPS + 1).
        random: (n, RANDOM_MAPS, STEPS + 1) of random maps.
        moved: method to (n, RANDOM_MAPS, STEPS + 1) of its own maps moved elsewhere.
    """

    shares: npt.NDArray[np.float64]
    by_method: dict[str, npt.NDArray[np.float64]]
    random: npt.NDArray[np.float64]
    moved: dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Against:
    """Areas under the curves of a method against other maps of the same pictures.

    Args:
        area: of the method; smaller is better.
        other: mean over the other maps of each picture.
        difference: method minus other; below 0 the method is better.
        p: of Wilcoxon's signed-rank test that it is not better, one-sided.
        better: share of pictures on which the method's area is smaller.
    """

    area: Interval
    other: Interval
    difference: Interval
    p: float
    better: float


def deletion_curves(
    model: nn.Module,
    pictures: Tensor,
    classes: Tensor,
    maps: dict[str, Tensor],
    fill: Tensor,
    temperature: float = 1.0,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> Curves:
    """Return the curves of all methods and of random maps.

    Args:
        model: (n, 1, P, P) grey levels to logits.
        pictures: (n, 1, P, P).
        classes: (n,) the class predicted of each.
        maps: method to (n, P, P).
        fill: what is shown where a picture is hidden, such as the mean face; as ``pictures``, or
            one for all.
        temperature: divides the logits.
        seed: draws the random maps.
        advance: told how many maps are done.

    Returns:
        The curves.
    """
    generator = torch.Generator().manual_seed(seed)
    rows: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in (*maps, "random")}
    moved: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in maps}
    fills = fill.float().expand_as(pictures)
    for i, picture in enumerate(pictures.float()):

        def curve(order: Tensor, at: int = i, face: Tensor = picture) -> npt.NDArray[np.float64]:
            advance(1)
            shown = hidden_steps(face, fills[at], order)
            return _probabilities(model, shown, int(classes[at]), temperature)

        for name, all_maps in maps.items():
            cells = to_cells(all_maps[i])
            rows[name].append(curve(_order(cells, generator)))
            turned = [_order(_move(cells, generator), generator) for _ in range(RANDOM_MAPS)]
            moved[name].append(np.stack([curve(order) for order in turned]))
        chances = [torch.randperm(CELLS**2, generator=generator) for _ in range(RANDOM_MAPS)]
        rows["random"].append(np.stack([curve(order) for order in chances]))
    return Curves(
        shares=_counts() / CELLS**2,
        by_method={name: np.stack(rows[name]) for name in maps},
        random=np.stack(rows["random"]),
        moved={name: np.stack(curves) for name, curves in moved.items()},
    )


def maps_tried(n_pictures: int, n_methods: int) -> int:
    """Return how many maps ``deletion_curves`` goes through."""
    return n_pictures * (n_methods * (1 + RANDOM_MAPS) + RANDOM_MAPS)


def area(
    curves: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the area under curves along the last axis: their mean height."""
    widths = np.diff(shares)
    return ((curves[..., 1:] + curves[..., :-1]) / 2.0) @ widths


def compare(
    method: npt.NDArray[np.float64],
    others: npt.NDArray[np.float64],
    shares: npt.NDArray[np.float64],
    groups: npt.NDArray[np.str_],
    seed: int = 0,
) -> Against:
    """Compare the areas of a method with those of other maps of the same pictures.

    Args:
        method: (n, steps) curves.
        others: (n, n_maps, steps) curves.
        shares: (steps,).
        groups: (n,) the person of each picture; whole groups are drawn.
        seed: of the bootstrap.

    Returns:
        Areas with 95 % intervals, and the paired test.
    """
    ours, theirs = area(method, shares), area(others, shares).mean(axis=1)

    def statistic(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        a, b = float(ours[rows].mean()), float(theirs[rows].mean())
        return {"area": a, "other": b, "difference": a - b}

    drawn = bootstrap_over_groups(statistic, groups, seed=seed)
    differs = bool(np.any(ours != theirs))
    p = float(stats.wilcoxon(ours, theirs, alternative="less").pvalue) if differs else 1.0
    better = float(np.mean(ours < theirs))
    return Against(drawn["area"], drawn["other"], drawn["difference"], p, better)


def to_cells(one_map: Tensor) -> Tensor:
    """Return (CELLS, CELLS) means of a (P, P) map."""
    return functional.adaptive_avg_pool2d(one_map[None, None], CELLS)[0, 0]


def hidden_steps(picture: Tensor, fill: Tensor, order: Tensor) -> Tensor:
    """Return a picture with more and more of it hidden.

    Args:
        picture: (1, P, P).
        fill: (1, P, P).
        order: (CELLS * CELLS,) squares, the first to be hidden first.

    Returns:
        (STEPS + 1, 1, P, P); the first is the picture, the last the fill.
    """
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    side = picture.shape[-1]
    large = functional.interpolate(
        rank.reshape(1, 1, CELLS, CELLS).float(), size=(side, side), mode="nearest-exact"
    )[0]
    hidden = large[None] < torch.from_numpy(_counts()).reshape(-1, 1, 1, 1)
    return torch.where(hidden, fill[None], picture[None])


def _counts() -> npt.NDArray[np.float64]:
    """Return how many squares are hidden at each step."""
    return np.round(np.linspace(0.0, CELLS**2, STEPS + 1))


def _order(cells: Tensor, generator: torch.Generator) -> Tensor:
    """Return squares from the most important on; those alike in random order."""
    shuffled = torch.randperm(cells.numel(), generator=generator)
    return shuffled[torch.argsort(cells.flatten()[shuffled], descending=True, stable=True)]


def _move(cells: Tensor, generator: torch.Generator) -> Tensor:
    """Return a map rolled, turned and mirrored at random: as smooth, but elsewhere."""
    down, right, quarter, mirror = (
        int(torch.randint(high, (1,), generator=generator)) for high in (CELLS, CELLS, 4, 2)
    )
    moved = torch.rot90(torch.roll(cells, (down, right), dims=(0, 1)), quarter)
    return moved.flip(1) if mirror else moved


def _probabilities(
    model: nn.Module, shown: Tensor, label: int, temperature: float
) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        logits = torch.cat([model(part) for part in torch.split(shown, CHUNK)])
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)[:, label]
    return np.asarray(probabilities.numpy(), dtype=np.float64)
