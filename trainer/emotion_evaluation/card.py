"""The model card's figures for facial expressions: with intervals, weak points and conditions."""

from __future__ import annotations

from typing import Any

from trainer.emotion_evaluation.style import number, scored_subsets, with_ends
from trainer.metrics import FEW
from trainer.model_card import table

WORST_SHOWN = 3
FEW_SAID = " (few: says little)"
NAMES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "ece": "ECE", "brier": "Brier"}


def measured(figures: dict[str, Any]) -> str | None:
    """Return the section on figures as Markdown.

    What was shared with the data learnt from, where that was allowed, is said by ``model_card``.

    Args:
        figures: ``metrics.json`` of the bundle.

    Returns:
        The text under the heading; None where the figures are not those of ``examine_faces``.
    """
    if "calibration_after" not in figures:
        return None
    parts = [
        _head(figures),
        table(["examples", "n", *NAMES.values()], _overall(figures)),
        _classes(figures),
        "### Calibration\n\n" + _calibration(figures),
        "### Failure cases\n\n" + failure_cases(figures),
        "Confusion, row = true class, column = answer:\n\n" + _confusion(figures),
        "### Robustness, not fairness\n\n" + robustness(figures),
    ]
    parts += [f"### By {name}\n\n" + by_attribute(found) for name, found in figures["by"].items()]
    if "mcnemar" in figures:
        parts.append("### Against a baseline\n\n" + against_baseline(figures))
    return "\n\n".join(parts)


def plain_lines(found: Any, indent: str = "") -> str:
    """Return nested JSON values as a Markdown list, numbers with four digits."""
    if not isinstance(found, dict):
        return f"{indent}- {_value(found)}"
    lines = []
    for name, value in found.items():
        said = str(name).replace("_", " ")
        if isinstance(value, dict):
            lines += [f"{indent}- {said}:", plain_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}- {said}: {_value(value)}")
    return "\n".join(lines)


def failure_cases(figures: dict[str, Any]) -> str:
    """Return where it fails, worst first: confusions, classes, pictures and what spoils them."""
    pairs = [
        f"{pair['true']} answered {pair['answer']} {pair['n']} times ({pair['share']:.0%} of all"
        f" {pair['true']})"
        for pair in figures["confusions"]
    ]
    lines = ["Most frequent confusions: " + ("; ".join(pairs) or "none") + "."]
    shown = {label: row for label, row in figures["per_class"].items() if row["support"]}
    weakest = sorted(shown.items(), key=lambda item: item[1]["f1"])[:WORST_SHOWN]
    lines += [
        f"Weak class {label}: F1 {row['f1']:.3f}; {row['recall']:.1%} of its {row['support']} are"
        f" found{_few(row['support'])}, {row['precision']:.1%} of {row['answered']} answers are"
        " right."
        for label, row in weakest
    ]
    missing = [label for label in figures["per_class"] if label not in shown]
    lines += [f"No picture of {label} was scored." for label in missing]
    groups = {
        f"{name} {value}": row
        for name, found in figures["robustness"]["groups"].items()
        for value, row in found["groups"].items()
    }
    worst = min(groups, key=lambda name: float(groups[name]["accuracy"]))
    lines.append(
        f"Worst robustness group: {worst}, accuracy {groups[worst]['accuracy']:.3f} of"
        f" {groups[worst]['n']}."
    )
    spoilt = figures["robustness"].get("corruptions")
    if spoilt:
        worst = min(spoilt, key=lambda name: float(spoilt[name]["accuracy"]))
        lines.append(
            f"Worst corruption: {worst}, accuracy {spoilt[worst]['accuracy']:.3f}"
            f" ({-100 * spoilt[worst]['lost']:+.1f} points)."
        )
    return "\n".join(f"- {line}" for line in lines)


def robustness(figures: dict[str, Any]) -> str:
    """Return groups by what pictures are like, and spoilt pictures where they were scored."""
    found = figures["robustness"]
    rows = [
        [name, value, str(row["n"]), _share(row), number(row["macro_f1"])]
        for name, groups in found["groups"].items()
        for value, row in groups["groups"].items()
    ]
    tested = [
        f"{name}: gap {number(groups['gaps']['accuracy'])}, Holm p"
        f" {number(groups['tests'].get('accuracy', {}).get('p_holm'))}"
        for name, groups in found["groups"].items()
    ]
    parts = [
        "Groups of pictures, by thirds; who is shown plays no part in them.",
        table(["property", "third", "n", "accuracy [Wilson]", "macro-F1"], rows),
        "Accuracy between thirds, permutation test: " + "; ".join(tested) + ".",
    ]
    if "corruptions" in found:
        spoilt = [
            [
                name,
                number(row["accuracy"]),
                f"{-100 * row['lost']:+.1f}",
                number(row["macro_f1"]),
                number(row["ece"]),
                f"{row['unchanged']:.0%}",
            ]
            for name, row in found["corruptions"].items()
        ]
        head = ["the same pictures", "accuracy", "points", "macro-F1", "ECE", "answers kept"]
        parts.append(table(head, spoilt))
    else:
        parts.append("Spoilt pictures: **not done** (`trainer evaluate --corruptions`).")
    return "\n\n".join(parts)


def by_attribute(found: dict[str, Any]) -> str:
    """Return one attribute's groups, gaps and tests."""
    rows = [
        [
            f"{value}{FEW_SAID if row['few'] else ''}",
            f"{row['n']} ({row['units']})",
            _share(row),
            number(row["macro_precision"]),
            number(row["macro_recall"]),
            number(row["macro_f1"]),
        ]
        for value, row in found["groups"].items()
    ]
    head = ["group", "pictures (people)", "accuracy [Wilson]", "precision", "recall", "F1"]
    gaps, tests = found["gaps"], found["tests"]
    tested = [f"{name} {row['p_holm']:.3f}" for name, row in tests.items()]
    return "\n\n".join(
        [
            table(head, rows),
            f"Precision, recall and F1 are means over classes. Accuracy gap"
            f" {number(gaps['accuracy'])}, largest recall gap of a class (equal opportunity)"
            f" {number(gaps['equal_opportunity'])} ({widest(gaps)}); worst group:"
            f" {found['worst'] or '-'}."
            f" Chance alone, Holm-adjusted over {len(tests)} tests, shuffled by"
            f" {found['shuffled']}: " + ("; ".join(tested) or "one group, nothing to test") + ".",
        ]
    )


def told(row: dict[str, Any]) -> float | None:
    """Return a class's precision, or None where nothing was called so."""
    return float(row["precision"]) if row["answered"] else None


def widest(gaps: dict[str, Any]) -> str:
    """Return whose recall gap is the largest, and on how many examples it rests."""
    n = gaps["widest_least_n"]
    return f"{gaps['widest']}, from {n} examples a group{_few(n)}" if gaps["widest"] else "none"


def against_baseline(figures: dict[str, Any]) -> str:
    """Return McNemar's test and the paired bootstrap."""
    found = figures["mcnemar"]
    gains = "; ".join(
        f"{NAMES[name]} {row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        for name, row in found["gain"].items()
    )
    return (
        f"Against `{found['name']}` (accuracy {found['baseline']['accuracy']:.3f}) on the same"
        f" pictures: right alone {found['only_model']} times, the baseline alone"
        f" {found['only_baseline']} times; exact McNemar p {found['p']:.2g}. Gain, paired bootstrap"
        f" over {found['interval_over']}s: {gains}."
    )


def _head(figures: dict[str, Any]) -> str:
    return (
        f"By `trainer evaluate` through ONNX Runtime on the validation split: {figures['data']},"
        f" {figures['n']} labelled pictures. The split chose the best pass and the temperature, so"
        " these figures flatter a little. One pass a picture, no"
        " averaging over views. Brackets are 95 % bootstrap intervals over"
        f" {figures['interval_over']}s"
        + (
            "; those called Wilson take every picture for itself, which is too narrow where one"
            " person is shown several times."
            if figures["interval_over"] == "person"
            else ": who is shown is not known."
        )
    )


def _overall(figures: dict[str, Any]) -> list[list[str]]:
    return [
        [
            said.replace("_", "-"),
            str(row["n"]),
            *(with_ends(row[name], row["intervals"].get(name)) for name in NAMES),
        ]
        for said, row in {"all": figures, **scored_subsets(figures)}.items()
    ]


def _classes(figures: dict[str, Any]) -> str:
    rows = [
        [
            label,
            str(row["support"]),
            f"{with_ends(told(row), row['precision_wilson'])} of {row['answered']}",
            with_ends(row["npv"], row["intervals"]["npv"]),
            with_ends(row["recall"] if row["support"] else None, row["intervals"]["recall"]),
            number(row["specificity"]),
            with_ends(row["f1"] if row["support"] else None, row["intervals"]["f1"]),
            f"{number(row['at_prevalence']['ppv'])} / {number(row['at_prevalence']['npv'])}",
        ]
        for label, row in figures["per_class"].items()
    ]
    share = next(iter(figures["per_class"].values()))["at_prevalence"]["prevalence"]
    head = ["class", "n", "PPV [Wilson] of answers", "NPV", "recall", "specificity", "F1"]
    return (
        table([*head, f"PPV / NPV at {share:.0%}"], rows)
        + f"\n\nThe last column restates predictive values for a place where {share:.0%} of the"
        " pictures show the class: the shares here are not those of a bedside."
    )


def _calibration(figures: dict[str, Any]) -> str:
    before, after = figures["calibration_before"], figures["calibration_after"]
    at, found = figures["risk_coverage"]["at_accuracy"], figures["risk_coverage"]
    abstain = (
        f"No confidence threshold gives {at['wanted']:.0%} right answers."
        if at["threshold"] is None
        else f"With answers only from a confidence of {at['threshold']:.3f} on,"
        f" {at['coverage']:.1%} of the pictures are answered and {at['accuracy']:.1%} of the"
        " answers are right; the threshold was chosen on these pictures."
    )
    return (
        f"ECE {number(before['ece'])} before the temperature, {number(after['ece'])} after; Brier"
        f" {number(before['brier'])}, {number(after['brier'])}; negative log likelihood"
        f" {number(before['nll'])}, {number(after['nll'])}. Area under the risk-coverage curve"
        f" {number(found['aurc'])} (best order of the same answers"
        f" {number(found['aurc_best'])}). {abstain}"
    )


def _confusion(figures: dict[str, Any]) -> str:
    labels = figures["labels"]
    rows = [
        [f"**{label}**", *map(str, counts)]
        for label, counts in zip(labels, figures["confusion"], strict=True)
    ]
    return table(["", *labels], rows)


def _share(row: dict[str, Any]) -> str:
    return with_ends(row["accuracy"], row["accuracy_wilson"])


def _few(n: int) -> str:
    return FEW_SAID if n < FEW else ""


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    return str(value)
