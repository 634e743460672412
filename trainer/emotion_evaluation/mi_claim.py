"""The MI-CLAIM report of a bundle of facial expressions: one section an item, filled from the run.

Norgeot et al. 2020, Nature Medicine, doi 10.1038/s41591-020-1041-y. What cannot be filled says so.
"""

from __future__ import annotations

from typing import Any

from edge_app.inference.manifest import FaceConditioning, Manifest
from trainer.emotion_evaluation.card import against_baseline, failure_cases, plain_lines, told
from trainer.emotion_evaluation.style import scored_subsets, with_ends
from trainer.model_card import table

Item = tuple[str, str]
MAPS = {
    "grad_cam": "Grad-CAM",
    "ig_black": "Integrated Gradients from black",
    "ig_mean_face": "Integrated Gradients from the mean face",
    "occlusion": "occlusion",
}
"""Methods of ``trainer explain`` in words."""
NOT_DONE = "**not done**"
QUESTION = (
    "How well can one network name the facial expression of one grey face crop, when neither the"
    " picture nor a pixel-identical copy of it was learnt from?"
)
PROBLEM = (
    "Course of a patient's facial expression beside the bed, as a share of time with coverage; an"
    " observation for people to interpret, not a diagnosis, alarm or statement about what is felt."
)


def mi_claim(manifest: Manifest, figures: dict[str, Any]) -> str:
    """Return the report as Markdown.

    Args:
        manifest: of the bundle.
        figures: its ``metrics.json``, as ``examine_faces`` filled it.

    Returns:
        The text under the heading of the report.
    """
    parts = {
        "1 Study design": _design(manifest, figures),
        "2 and 3 Data and optimisation": _data(manifest, figures),
        "4 Performance": _performance(manifest, figures),
        "5 Examination": _examination(figures),
        "6 Reproducibility": _reproducibility(manifest),
    }
    lines = [
        "Items of the checklist by Norgeot et al. 2020 (doi 10.1038/s41591-020-1041-y), in our"
        f" words. {NOT_DONE.capitalize()} stands where the run cannot fill one."
    ]
    for part, items in parts.items():
        lines.append(f"### {part}")
        lines += [f"#### {name}\n\n{text}" for name, text in items]
    return "\n\n".join(lines)


def _design(manifest: Manifest, figures: dict[str, Any]) -> list[Item]:
    counts = figures["design"].get("train_counts")
    rows = [
        [label, "-" if not counts else str(counts[label]), str(row["support"])]
        for label, row in figures["per_class"].items()
    ]
    cohort = table(["class", "learnt from", "scored"], rows)
    if not counts:
        cohort += f"\n\nClass counts of the pictures learnt from: {NOT_DONE}, not in the run."
    if figures["by"]:
        cohort += f"\n\nSubgroups by {', '.join(figures['by'])}: see Measured."
    else:
        cohort += (
            f"\n\nSubgroups of people: {NOT_DONE}, these data say nothing of age, gender or country"
            " and guessing them would mislead."
            if figures["interval_over"] == "picture"
            else f"\n\nSubgroups of people: {NOT_DONE}, none was asked for (`--by`)."
        )
    baseline = (
        f"`{figures['mcnemar']['name']}`, accuracy {figures['mcnemar']['baseline']['accuracy']:.3f}"
        " on the same pictures."
        if "mcnemar" in figures
        else f"{NOT_DONE}: no baseline bundle was named (`trainer evaluate --baseline`)."
    )
    return [
        ("Clinical problem", PROBLEM),
        ("Research question", QUESTION),
        ("Cohorts: learnt from and scored", cohort),
        (
            "Are the cohorts like the real setting?",
            "Not shown by these figures. " + manifest.limits,
        ),
        ("Baseline", baseline),
    ]


def _data(manifest: Manifest, figures: dict[str, Any]) -> list[Item]:
    conditioning = manifest.conditioning
    origin = "\n".join(
        f"- {data.name}: {data.source}. Licence: {data.licence}." for data in manifest.training.data
    )
    copies = figures["subsets"].get("duplicate_free")
    removed = "" if copies is None else f" {figures['n'] - copies['n']} of {figures['n']}"
    independence = (
        "**Not independent**: the run was allowed to learn from what it is scored on, see Measured."
        if figures.get("leak")
        else f"No {_unit(figures)} stands on both sides; the split is refused otherwise. "
        + (
            f"Copies of pictures in the unclean training data:{removed} of those scored;"
            " scores, calibration and comparisons are measured with and without them."
            if copies is not None
            else f"Duplicate table: {NOT_DONE}, nothing to compare with (`--duplicates-of`)."
        )
    )
    options = figures["design"].get("options")
    return [
        (
            "Origin and raw format",
            f"{origin}\n- Scored: {figures['data']}, grey pictures.{_as_read(figures)}",
        ),
        (
            "Transformations before the model",
            f"{plain_lines(_conditioning(conditioning))}\n\nSize, normalisation and temperature are"
            " inside the graph: grey bytes go in."
            if isinstance(conditioning, FaceConditioning)
            else f"{NOT_DONE}: this bundle reads no face crops.",
        ),
        ("Independence of what was learnt from and what is scored", independence),
        (
            "Models tried, and how the best was chosen",
            (
                f"This recipe's options:\n\n{plain_lines(options)}\n\n"
                if options
                else f"Options: {NOT_DONE}, not in the run. "
            )
            + "The pass was chosen on the validation split by the figure that `fit.select_by` in"
            " `recipe.yaml` names. " + _table_of_models(figures),
        ),
        ("Input", "Unstructured: pictures."),
    ]


def _as_read(figures: dict[str, Any]) -> str:
    """Return every place that was read: layout, counts and a hash of pictures and labels."""
    return "".join(
        f"\n- Read: {place['layout']}; "
        + ", ".join(f"{n} of {usage}" for usage, n in place["pictures"].items())
        + f"; SHA-256 of pictures and labels begins {place['fingerprint']}."
        for place in figures.get("origin", ())
    )


def _unit(figures: dict[str, Any]) -> str:
    return "person" if figures["interval_over"] == "person" else "pixel-identical picture"


def _conditioning(conditioning: FaceConditioning) -> dict[str, Any]:
    return conditioning.model_dump(mode="json", exclude={"episodes"})


def _table_of_models(figures: dict[str, Any]) -> str:
    tried = figures.get("models")
    if tried:
        return plain_lines(tried)
    return (
        f"Table of other models in this bundle: {NOT_DONE}; `benchmarks/emotion_models.py` prints"
        " one."
    )


def _performance(manifest: Manifest, figures: dict[str, Any]) -> list[Item]:
    intervals = figures["intervals"]
    primary = (
        f"Accuracy {with_ends(figures['accuracy'], intervals['accuracy'])}, to compare with others;"
        f" macro-F1 {with_ends(figures['macro_f1'], intervals['macro_f1'])}, because rare classes"
        " count as much as frequent ones in it."
    )
    for name, part in scored_subsets(figures).items():
        ends = part["intervals"]
        primary += (
            f" {name.replace('_', '-').capitalize()} ({part['n']} pictures): accuracy"
            f" {with_ends(part['accuracy'], ends['accuracy'])}, macro-F1"
            f" {with_ends(part['macro_f1'], ends['macro_f1'])}."
        )
    values = "; ".join(
        f"{label} {with_ends(told(row), row['precision_wilson'])} of {row['answered']}"
        for label, row in figures["per_class"].items()
    )
    compared = (
        against_baseline(figures)
        if "mcnemar" in figures
        else f"{NOT_DONE}: no baseline bundle was named (`trainer evaluate --baseline`)."
    )
    return [
        ("Primary metric, and why", primary),
        (
            "Clinical-utility metric, and why",
            "PPV with its count and Wilson interval: of what is told, how much may be believed. "
            f"{values}. {_episodes(manifest)}",
        ),
        ("Baseline against model, with significance", compared),
    ]


def _episodes(manifest: Manifest) -> str:
    conditioning = manifest.conditioning
    specs = conditioning.episodes if isinstance(conditioning, FaceConditioning) else ()
    if not specs:
        return "Episodes: none are told by this bundle."
    told = "; ".join(
        f"{spec.label} from {spec.enter_probability:.3f} on: PPV {spec.ppv:.3f} (at least"
        f" {spec.ppv_low:.3f}), recall {spec.recall:.3f}, share {spec.prevalence:.3f}"
        for spec in specs
    )
    return (
        f"Episodes, by single validation pictures: {told}. Where the expression is rarer, fewer"
        " episodes are right."
    )


def _examination(figures: dict[str, Any]) -> list[Item]:
    explained = figures.get("explanation") or {}
    missing = f"{NOT_DONE} in this bundle: `trainer explain` draws and measures it."
    through = figures.get("through_detector")
    spoilt = figures["robustness"].get("corruptions")
    shift = [
        "Groups of pictures by brightness, contrast and sharpness: see Measured.",
        "Spoilt pictures: see Measured."
        if spoilt
        else f"Spoilt pictures: {NOT_DONE} (`trainer evaluate --corruptions`).",
        f"Through the bedside's detector and crop:\n\n{plain_lines(through)}"
        if through
        else f"Through the bedside's detector and crop: {NOT_DONE}"
        " (`trainer evaluate --through-detector`).",
    ]
    others, occlusion = _explained(explained, False), _explained(explained, True)
    tested = (
        "Hiding what a map marks first must lower the answer's probability faster than hiding what"
        " a random map marks; the area below that curve, less is better, is given with each"
        " technique above, with the paired difference over groups."
    )
    return [
        ("Technique 1: Grad-CAM and Integrated Gradients", others or missing),
        ("Technique 2: occlusion sensitivity", occlusion or missing),
        ("Do the maps matter to the answers?", tested if others or occlusion else missing),
        (
            "Single cases",
            "The worst cases in words:\n\n"
            + failure_cases(figures)
            + "\n\nA sheet of right, wrong and least sure pictures is drawn by `trainer evaluate"
            " --pictures`; faces are not kept in the bundle.",
        ),
        ("Robustness to other data", " ".join(shift)),
    ]


def _explained(explained: dict[str, Any], occlusion: bool) -> str:
    """Return the deletion test of occlusion, or of all other methods; empty where there is none."""
    lines = []
    for hidden_by, found in (explained.get("deletion") or {}).items():
        for name, method in found["methods"].items():
            if (name == "occlusion") != occlusion:
                continue
            test = method["against_random"]
            area, other, less = test["area"], test["other"], test["difference"]
            lines.append(
                f"- {MAPS.get(name, name)}, hidden by {hidden_by.replace('_', ' ')}: area"
                f" {area['value']:.3f}, random maps {other['value']:.3f}, difference"
                f" {less['value']:+.3f} [{less['low']:+.3f}, {less['high']:+.3f}],"
                f" p {test['p']:.1g} ({found['n']} pictures)"
            )
    if lines and not occlusion:
        lines += [
            f"- {MAPS.get(name, name)}: {row['share_within']:.0%} of {row['n']} pictures add up to"
            f" the difference of logits within {row['within']:.0%}"
            for name, row in (explained.get("completeness") or {}).items()
        ]
    return "\n".join(lines)


def _reproducibility(manifest: Manifest) -> list[Item]:
    training = manifest.training
    return [
        (
            "Tier",
            f"1, full code: commit {training.commit}, `{training.command}`, recipe"
            f" {training.recipe} written out in `recipe.yaml`, seed {training.seed},"
            f" {training.date}. Stored inputs and outputs in `golden.npz` are replayed before every"
            " run. The data are not ours to give: see Origin.",
        )
    ]
