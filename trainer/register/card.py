"""The model card's figures for the register's model: out of fold, intervals, weak points."""

from __future__ import annotations

from typing import Any

from edge_app.counted import counted
from trainer.metrics import FEW
from trainer.model_card import table
from trainer.register.comparison import NOT_NESTED, SHOWN, TUNED, shown, worst_offsets


def measured(figures: dict[str, Any]) -> str:
    """Return the section on figures as Markdown.

    Args:
        figures: ``metrics.json`` of the bundle.

    Returns:
        The text under the heading.
    """
    labels, nesting = figures["labels"], figures["nesting"]
    indoors, at_home = (figures["subsets"].get(name) for name in ("indoors", "living_at_home"))
    first = [
        f"{figures['per_class']['frail']['support']} of {figures['n']} people are frail: every"
        " figure on them has a wide interval.",
        f"Of 100 answers 'frail', {100 * figures['precision_frail']:.0f} were right at the"
        " register's shares; where fewer people are frail, fewer will be."
        if figures["precision_frail"] is not None
        else "Nobody was answered 'frail'.",
    ]
    if indoors and at_home:
        first.append(
            "All frail people walked indoors: balanced accuracy there is"
            f" {shown(indoors, 'balanced_accuracy')}; of the frail people living at home"
            f" {shown(at_home, 'recall_frail')} are found."
        )
    first += [
        "Gait speed over 4 m alone, or a timed up-and-go, does about as well; these baselines and"
        " all rival families are printed by `trainer cross-validate frailty_register --data"
        " ../shared/data --out runs/register_cv`.",
        "The figures are for parameters by the register's own algorithm; what is lost on the"
        " bedside's is not known (Limits).",
    ]
    head = (
        f"Out of fold on {figures['n']} real people: {nesting['outer_folds']} outer folds by person"
        f" x {counted(nesting['repeats'], 'repeat')}, {nesting['inner_folds']} inner"
        f" folds. {TUNED} The model that is shipped was then fitted on everybody by the same"
        f" procedure; it cannot be scored on them. {NOT_NESTED}\n\n"
        "Brackets are 95 % intervals over people. One frail person is 4.8 points of frail recall:"
        " do not rank two models by less. **Gait speed is itself one of the five Fried items**, so"
        " a model of gait partly predicts its own definition."
    )
    overall = [
        [heading, shown(figures, key, interval=True), _spread(figures, key)]
        for key, heading in SHOWN.items()
    ]
    per_class = [
        [
            label,
            *(shown(figures, f"{kind}_{label}", interval=True) for kind in _KINDS),
            str(figures["per_class"][label]["support"]),
        ]
        for label in labels
    ]
    confusion = [
        [f"**{label}**", *(f"{count:g}" for count in counts)]
        for label, counts in zip(labels, figures["confusion"], strict=True)
    ]
    return "\n\n".join(
        [
            "Read this first:\n\n" + "\n".join(f"- {line}" for line in first),
            head,
            "Spread: standard deviation over the repeats, each another division into folds. In all"
            " tables - stands where nobody is of the class, nobody was answered so, or a spread has"
            " one repeat.",
            table(["figure", "mean of repeats", "spread over repeats"], overall),
            table(["class", "recall", "precision", "F1", "people"], per_class),
            "Confusion, row = true class, column = answer, people of a mean repeat:",
            table(["", *labels], confusion),
            "### Calibration\n\n" + _calibration(figures),
            "### Confounders\n\nNobody frail walked outdoors or with the Gaitup device, so surface"
            " and device could stand in for frailty. Indoors is the figure to believe for a ward."
            f" Groups of fewer than {FEW} are in `metrics.json` alone.",
            _rows({name: row for name, row in figures["subsets"].items() if row["n"] >= FEW}),
            "### When parameters are missing\n\nMade unknown at the time of the answer:",
            _rows(figures["missing_parameters"]),
            "### When few strides were seen (SIMULATED draws)\n\nMean and standard deviation drawn"
            " as so many independent strides of each person's row would give them:",
            _rows(figures["simulated_stride_draws"]),
            "### When parameters are measured otherwise (SIMULATED offsets)\n\nEvery mean moved for"
            " everybody by half the distance between the medians of robust and frail people: the"
            " worst of one parameter, then all of them together; all rows in `metrics.json`:",
            _rows(worst_offsets(figures["simulated_offsets"])),
        ]
    )


_KINDS = ("recall", "precision", "f1")
_COLUMNS = ("balanced_accuracy", "accuracy", "recall_frail", "auc_frail", "auc_robust", "ece")


def _rows(groups: dict[str, dict[str, Any]]) -> str:
    lines = [
        [name.replace("_", " "), str(row["n"]), *(shown(row, key) for key in _COLUMNS)]
        for name, row in groups.items()
    ]
    return table(["", "n", *(SHOWN[key] for key in _COLUMNS)], lines)


def _spread(figures: dict[str, Any], key: str) -> str:
    value = figures["spread"].get(key)
    return "-" if value is None else f"{value:.3f}"


def _calibration(figures: dict[str, Any]) -> str:
    return (
        "Probabilities are stated for equal class shares, because how many people of a ward are"
        " frail is not known; the most probable class is then the balanced decision. Restate them"
        " for known shares by Bayes' rule. ECE and Brier score with every class weighing alike:"
        f" {figures['ece']:.3f} and {figures['brier']:.3f}; restated for the register's own shares:"
        f" {figures['ece_data_shares']:.3f} and {figures['brier_data_shares']:.3f}."
    )
