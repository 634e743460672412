"""Pictures of the register's cross-validation, as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edge_app.counted import counted
from trainer.datasets.gstride import LABELS
from trainer.register.nested_cv import OutOfFold, Targets
from trainer.register.person_scores import equal_share_weights

BINS = 5
COLOURS = ("#3a7d44", "#d99a2b", "#b23a48")
"""Of robust, prefrail, frail; apart in lightness too."""
GREY = "#555555"
UNITS = ("s", "m", "deg", "mps", "fraction", "per", "min")
"""Words of a parameter's name that a picture without a unit does without."""


def draw_all(figures: dict[str, Any], oof: OutOfFold, targets: Targets, out: Path) -> list[Path]:
    """Draw every picture.

    Args:
        figures: what ``comparison.compare`` returned.
        oof: the shipped family's answers.
        targets: (n,) classes.
        out: the folder.

    Returns:
        The files.
    """
    shipped = figures["shipped"]
    pictures = {
        "reliability.png": reliability(oof, targets),
        "per_class.png": per_class(shipped["overall"]),
        "confusion.png": confusion(shipped["overall"]),
        "contributions.png": contributions(shipped["contributions"]),
        "families.png": families({**figures["families"], **figures["baselines"]}),
    }
    for name, picture in pictures.items():
        picture.savefig(out / name, dpi=120)
    return [out / name for name in pictures]


def reliability(oof: OutOfFold, targets: Targets) -> Figure:
    """Return how often what was said came true, over all repeats, every class weighing alike."""
    figure = Figure(figsize=(9.5, 4.95), layout="constrained")
    left, right = figure.subplots(1, 2)
    weights = np.tile(equal_share_weights(targets), len(oof.probabilities))
    truth = np.tile(targets, len(oof.probabilities))
    flat = oof.probabilities.reshape(-1, len(LABELS))
    frail = LABELS.index("frail")
    n, repeats = len(targets), len(oof.probabilities)
    _curve(left, flat[:, frail], truth == frail, weights, COLOURS[frail], repeats)
    left.set(title="frail against the rest", xlabel="said: probability of frail")
    left.set_ylabel("came true: share of frail people")
    _curve(right, flat.max(axis=1), flat.argmax(axis=1) == truth, weights, GREY, repeats)
    right.set(title="all three classes", xlabel="said: largest probability")
    right.set_ylabel("came true: share of right answers")
    figure.suptitle(
        f"Out of fold: {n} people x {counted(repeats, 'repeat')}, probabilities for equal"
        " class shares"
    )
    return figure


def _curve(
    axes: Axes,
    said: npt.NDArray[np.float64],
    true: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
    colour: str,
    repeats: int,
) -> None:
    """Draw bins of equal numbers of answers, their share of the weight as the size of the dot."""
    edges = np.quantile(said, np.linspace(0.0, 1.0, BINS + 1))
    index = np.clip(np.searchsorted(edges, said, side="right") - 1, 0, BINS - 1)
    total = np.bincount(index, weights=weights, minlength=BINS)
    x = np.bincount(index, weights=weights * said, minlength=BINS) / total
    y = np.bincount(index, weights=weights * true, minlength=BINS) / total
    bins = f"bins of about {len(said) / repeats / BINS:.0f} people"
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle="--", label="calibrated")
    axes.plot(x, y, color=colour, linewidth=1.2)
    axes.scatter(x, y, s=900 * total / total.sum(), color=colour, alpha=0.8, label=bins)
    axes.hist(
        said,
        bins=30,
        range=(0, 1),
        weights=weights / weights.sum(),
        color=colour,
        alpha=0.15,
        label="how often it is said",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=8, markerscale=0.5)


def per_class(figures: dict[str, Any]) -> Figure:
    """Return recall, precision and F1 by class with their 95 % intervals over people."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    kinds = ("recall", "precision", "f1")
    for i, label in enumerate(LABELS):
        values = [figures[f"{kind}_{label}"] for kind in kinds]
        ends = [figures["intervals"][f"{kind}_{label}"] for kind in kinds]
        below = [value - low for value, (low, _) in zip(values, ends, strict=True)]
        above = [high - value for value, (_, high) in zip(values, ends, strict=True)]
        x = np.arange(len(kinds)) + 0.27 * (i - 1)
        support = figures["per_class"][label]["support"]
        axes.bar(
            x,
            values,
            0.25,
            color=COLOURS[i],
            label=f"{label}, {counted(support, 'person', 'people')}",
        )
        axes.errorbar(x, values, yerr=[below, above], fmt="none", ecolor="black", capsize=3)
        for at, value in zip(x, values, strict=True):
            axes.text(at, 0.02, f"{value:.2f}", ha="center", color="white", fontsize=9)
    axes.set_xticks(range(len(kinds)), ("recall", "precision (PPV)", "F1"))
    axes.set(ylim=(0, 1), title="Out of fold, 95 % intervals over people")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", ncols=3, fontsize=8)
    return figure


def confusion(figures: dict[str, Any]) -> Figure:
    """Return the confusion matrix: people of a mean repeat, shaded by share of the true class."""
    counts = np.array(figures["confusion"], dtype=np.float64)
    shares = counts / counts.sum(axis=1, keepdims=True)
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(LABELS)):
        for column in range(len(LABELS)):
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{counts[row, column]:.1f}\n{share:.0%}",
                ha="center",
                va="center",
                color="white" if share > 0.5 else "black",
            )
    axes.set_xticks(range(len(LABELS)), LABELS)
    axes.set_yticks(range(len(LABELS)), LABELS)
    repeats = counted(figures["repeats"], "repeat")
    axes.set(xlabel="answer", ylabel="truth", title=f"Out of fold, mean of {repeats}")
    return figure


def contributions(means: dict[str, dict[str, float]]) -> Figure:
    """Return what each parameter adds to the true class's log-odds, after the temperature."""
    figure = Figure(figsize=(8, 0.42 * len(means) + 1.4), layout="constrained")
    axes = figure.subplots()
    names = sorted(means, key=lambda name: float(np.mean(list(means[name].values()))))
    for i, label in enumerate(LABELS):
        y = np.arange(len(names)) - 0.27 * (i - 1)
        axes.barh(y, [means[name][label] for name in names], 0.25, color=COLOURS[i], label=label)
    axes.set_yticks(range(len(names)), [_readable(name) for name in names])
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel(
        "added to the log-odds of the true class, after the temperature, mean over its people"
    )
    axes.set_title("What each parameter tells, out of fold")
    axes.margins(y=0.01)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(title="true class", loc="lower right", fontsize=8)
    return figure


def families(rows: dict[str, dict[str, Any]]) -> Figure:
    """Return balanced accuracy and AUC of every family and baseline, with their intervals."""
    figure = Figure(figsize=(10, 0.36 * len(rows) + 1.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = list(rows)[::-1]
    for axes, key, chance, title in zip(
        panels,
        ("balanced_accuracy", "auc_frail"),
        (1 / 3, 0.5),
        ("balanced accuracy", "AUC, frail against the rest"),
        strict=True,
    ):
        for y, name in enumerate(names):
            value, ends = rows[name][key], rows[name].get("intervals", {}).get(key)
            colour = COLOURS[2] if name == names[-1] else GREY
            if ends is not None:
                axes.plot(ends, [y, y], color=colour, linewidth=1.5)
            axes.plot(value, y, "o", color=colour)
        axes.axvline(chance, color="#bbbbbb", linestyle="--")
        axes.set(title=title, xlim=(0.25, 1.0))
        axes.grid(alpha=0.3)
    panels[0].set_yticks(range(len(names)), names)
    figure.suptitle("Out of fold, 95 % intervals over people; dashed: chance")
    return figure


def _readable(name: str) -> str:
    stem, _, statistic = name.rpartition("_")
    words = [word for word in stem.split("_") if word not in UNITS]
    return f"{' '.join(words)}, {'SD' if statistic == 'sd' else 'mean'}"
