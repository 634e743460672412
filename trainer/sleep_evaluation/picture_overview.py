"""Kappa and macro-F1 of every night beside the agreement of human scorers, as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from trainer.sleep_evaluation.style import COLOURS, GREY, HUMAN, number

PANELS = (("kappa", "kappa"), ("macro_f1", "macro-F1"))
MANY = 40
"""With more nights than this their names are written small."""


def overview_picture(figures: dict[str, Any], title: str) -> Figure:
    """Draw a bar a night, the pooled figure, the final answers, and the human line.

    Args:
        figures: as ``sleep_figures`` gave them.
        title: what is shown.

    Returns:
        The picture.
    """
    rows, ceiling = figures["per_night"], figures["human_ceiling"]
    final = list(figures["delays"].values())[-1]
    width = float(np.clip(0.34 * len(rows) + 4.5, 9, 26))
    figure = Figure(figsize=(width, 7.6), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    x = np.arange(len(rows))
    for axes, (key, name) in zip(panels, PANELS, strict=True):
        values = [np.nan if row[key] is None else row[key] for row in rows]
        axes.bar(x, values, color=COLOURS["N2"], width=0.7, label="each night, said at once")
        late: list[float] = []
        if final["delay_epochs"]:
            late = [np.nan if row[key] is None else row[key] for row in final["per_night"]]
            waited = f"each night, after {final['delay_s']:g} s more"
            axes.plot(x, late, "D", color="black", markersize=4, label=waited)
        if figures[key] is not None:
            pooled = f"all epochs together {number(figures[key])}"
            axes.axhline(figures[key], color=GREY, linestyle="--", label=pooled)
        if ceiling is not None:
            human = ceiling["one_against_others"]
            said = f"one human scorer against four others {human[key]:.3f}*"
            axes.axhline(human[key], color=HUMAN, linewidth=2, label=said)
            axes.axhspan(*human["range"][key], color=HUMAN, alpha=0.12, linewidth=0)
        if ceiling is not None and key == "kappa":
            pair = ceiling["pairwise_kappa"]["mean"]
            said = f"two human scorers {pair:.3f}*"
            axes.axhline(pair, color=HUMAN, linestyle=":", linewidth=2, label=said)
        drawn = [*values, *late, np.nan if figures[key] is None else figures[key]]
        lowest = float(np.nanmin([0.0, *drawn]))
        axes.set(ylabel=name, ylim=(lowest - 0.05 if lowest < 0 else 0.0, 1.0))
        axes.axhline(0.0, color="black", linewidth=0.8)
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    names = [row["night"] for row in rows]
    panels[-1].set_xticks(x, names, rotation=90, fontsize=6 if len(rows) > MANY else "small")
    panels[-1].set_xlim(-0.6, len(rows) - 0.4)
    figure.suptitle(title, fontsize="medium")
    if ceiling is not None:
        figure.supxlabel(
            f"* {ceiling['population']}. Shaded: the five scorers' range.", fontsize="small"
        )
    return figure
