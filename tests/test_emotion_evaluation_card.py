"""The card of facial expressions: figures where they belong; what was not done says so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from rich.console import Console  # noqa: E402

from edge_app.errors import ConfigError  # noqa: E402
from edge_app.inference.manifest import FaceConditioning  # noqa: E402
from tests.scored_faces import LABELS, bundle_at, scored_faces  # noqa: E402
from trainer.emotion_evaluation import into_card  # noqa: E402
from trainer.emotion_evaluation.card import measured  # noqa: E402
from trainer.emotion_evaluation.episode_thresholds import choose_episodes  # noqa: E402
from trainer.emotion_evaluation.mi_claim import NOT_DONE, mi_claim  # noqa: E402
from trainer.experiments.emotion_bundle import parts  # noqa: E402
from trainer.experiments.emotion_options import EmotionOptions  # noqa: E402
from trainer.model_card import MEASURED, model_card  # noqa: E402
from trainer.provenance import Provenance  # noqa: E402
from trainer.scores_table import scores_table  # noqa: E402

ITEMS = (
    "Clinical problem",
    "Research question",
    "Cohorts: learnt from and scored",
    "Are the cohorts like the real setting?",
    "Baseline",
    "Origin and raw format",
    "Transformations before the model",
    "Independence of what was learnt from and what is scored",
    "Models tried, and how the best was chosen",
    "Input",
    "Primary metric, and why",
    "Clinical-utility metric, and why",
    "Baseline against model, with significance",
    "Technique 1: Grad-CAM and Integrated Gradients",
    "Technique 2: occlusion sensitivity",
    "Do the maps matter to the answers?",
    "Single cases",
    "Robustness to other data",
    "Tier",
)
RUN = Provenance("emotion", "trainer fit", "abc", "2 cores", "Python", "2026-01-01")
LATER = ("mcnemar", "through_detector", "explanation")


def figures_of(**changes: Any) -> dict[str, Any]:
    return {**scored_faces().figures, "trained_on_simulated_data": True, **changes}


def items(text: str) -> dict[str, str]:
    found = re.split(r"^#### (.*)\n\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def explanation() -> dict[str, Any]:
    area = {"value": 0.31, "low": 0.3, "high": 0.32}
    test = {"area": area, "other": {**area, "value": 0.45}, "p": 0.0004}
    test["difference"] = {"value": -0.14, "low": -0.16, "high": -0.12}
    methods = {name: {"against_random": test} for name in ("grad_cam", "occlusion")}
    row = {"n": 100, "within": 0.05, "share_within": 0.98}
    return {
        "data": "simulated faces",
        "examples": ["not kept"],
        "deletion": {"mean_face": {"n": 100, "methods": methods}},
        "completeness": {"ig_black": row},
    }


def test_every_item_has_its_section_and_none_is_blank(tmp_path: Path) -> None:
    text = mi_claim(bundle_at(tmp_path).manifest, figures_of())
    found = items(text)
    assert tuple(found) == ITEMS
    assert all(body.strip() for body in found.values())
    assert "None" not in text
    assert "older" in found["Baseline"]
    for name in ITEMS[13:16]:
        assert found[name].startswith(NOT_DONE)


def test_what_was_not_asked_for_is_not_done(tmp_path: Path) -> None:
    bare = scored_faces(people_known=False).figures
    bare = {name: value for name, value in bare.items() if name != "mcnemar"} | {"subsets": {}}
    found = items(mi_claim(bundle_at(tmp_path).manifest, bare))
    for name in ("Baseline", "Baseline against model, with significance"):
        assert found[name].startswith(f"{NOT_DONE}: no baseline bundle was named")
    assert "guessing them would mislead" in found["Cohorts: learnt from and scored"]
    assert f"Duplicate table: {NOT_DONE}" in found[ITEMS[7]]
    assert f"Spoilt pictures: {NOT_DONE}" in found["Robustness to other data"]


def test_the_origin_is_told_with_its_hash(tmp_path: Path) -> None:
    place = {"layout": "folders", "fingerprint": "0123abcd", "pictures": {"own": 150}}
    found = items(mi_claim(bundle_at(tmp_path).manifest, figures_of(origin=[place])))
    said = found["Origin and raw format"]
    assert "- Read: folders; 150 of own; SHA-256 of pictures and labels begins 0123abcd." in said
    assert "Licence: none" in said


def test_what_explain_measured_fills_its_items(tmp_path: Path) -> None:
    found = items(mi_claim(bundle_at(tmp_path).manifest, figures_of(explanation=explanation())))
    assert "Grad-CAM, hidden by mean face: area 0.310, random maps 0.450" in found[ITEMS[13]]
    assert "98% of 100 pictures add up" in found[ITEMS[13]]
    assert "occlusion" not in found[ITEMS[13]]
    assert found[ITEMS[14]].startswith("- occlusion, hidden by mean face")
    assert NOT_DONE not in found[ITEMS[15]]


def test_episodes_are_told_with_their_ppv(tmp_path: Path) -> None:
    made = scored_faces()
    manifest = bundle_at(tmp_path).manifest
    assert isinstance(manifest.conditioning, FaceConditioning)
    specs = choose_episodes(made.probabilities, made.split.targets.numpy(), LABELS, ppv=0.4)
    assert specs
    conditioning = manifest.conditioning.model_copy(update={"episodes": specs})
    text = mi_claim(manifest.model_copy(update={"conditioning": conditioning}), made.figures)
    said = items(text)["Clinical-utility metric, and why"]
    for spec in specs:
        assert f"{spec.label} from {spec.enter_probability:.3f} on: PPV {spec.ppv:.3f}" in said


def test_the_measured_section_has_the_figures() -> None:
    figures = figures_of()
    text = measured(figures)
    assert text is not None
    ends = figures["intervals"]["accuracy"]
    row = f"| all | 150 | {figures['accuracy']:.3f} [{ends[0]:.3f}, {ends[1]:.3f}] |"
    assert row in text
    assert "| duplicate-free | 120 |" in text
    for label in LABELS:
        low, high = figures["per_class"][label]["precision_wilson"]
        answered = figures["per_class"][label]["answered"]
        assert f"[{low:.3f}, {high:.3f}] of {answered} |" in text
    first = figures["confusions"][0]
    assert f"{first['true']} answered {first['answer']} {first['n']} times" in text
    assert "### By gender" in text
    assert "male (few: says little)" in text
    assert "| eyes covered |" in text
    assert "fairness" not in text.replace("### Robustness, not fairness", "")
    assert measured({"accuracy": 1.0}) is None


def test_intervals_that_overlook_people_say_so() -> None:
    known, unknown = measured(figures_of()), measured(scored_faces(people_known=False).figures)
    assert known is not None
    assert unknown is not None
    assert "over persons; those called Wilson take every picture for itself" in known
    assert "over pictures: who is shown is not known" in unknown


def test_limits_are_those_of_the_pictures_learnt_from() -> None:
    own = parts(EmotionOptions(), replace(scored_faces().split, name="clinical faces"))
    shipped = parts(EmotionOptions())
    assert "web pictures" in shipped.limits
    assert "65 times in 100" in shipped.limits
    assert "web" not in own.limits
    assert "65 times" not in own.limits
    assert "the trainer's own pictures" in own.limits


def test_a_leak_is_stamped_on_the_card(tmp_path: Path) -> None:
    manifest = bundle_at(tmp_path).manifest
    told = "3 groups in both Training and PublicTest"
    figures = figures_of()
    honest = model_card(manifest, figures, RUN, "A story.", measured(figures))
    leaky = model_card(manifest, figures, replace(RUN, leak=told), "A story.", measured(figures))
    assert "LEAK" not in honest
    assert leaky.index("LEAK: these figures flatter") < leaky.index("| examples |")
    assert told in leaky
    assert items(leaky)[ITEMS[7]].startswith("**Not independent**")
    assert "nothing was learnt from it" not in leaky
    for text in (honest, leaky):
        assert "**Not a medical device.**" in text
        assert "facial expression, not felt emotion" in text
        assert "tests: tests" not in text


def test_what_is_measured_later_joins_metrics_and_card(tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path)
    before = {name: value for name, value in figures_of().items() if name not in LATER}
    before["robustness"] = {"groups": before["robustness"]["groups"]}
    card = model_card(bundle.manifest, before, RUN, "A story.", measured(before))
    (bundle.path / "README.md").write_text(card)
    later = figures_of(explanation=explanation(), accuracy=before["accuracy"])
    metrics = into_card.joined(bundle, before, later)
    into_card.write(bundle, metrics, measured(metrics))
    text = (bundle.path / "README.md").read_text()
    assert text.split(MEASURED)[0] == card.split(MEASURED)[0]
    assert "Spoilt pictures: **not done**" in card
    assert "Spoilt pictures: **not done**" not in text
    assert "### Against a baseline" in text
    assert text.count(MEASURED) == 1
    stored = json.loads((bundle.path / "metrics.json").read_text())
    assert stored["mcnemar"]["name"] == "older"
    assert stored["robustness"]["groups"] == before["robustness"]["groups"]
    again = into_card.joined(bundle, stored, {**later, "mcnemar": None})
    assert again["mcnemar"] == stored["mcnemar"]


def test_figures_of_other_pictures_do_not_join(tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path)
    with pytest.raises(ConfigError, match="do not belong"):
        into_card.joined(bundle, figures_of(), figures_of(data="others"))
    with pytest.raises(ConfigError, match="do not belong"):
        into_card.joined(bundle, {"n": 150}, figures_of())
    (tmp_path / "explained.json").write_text(json.dumps(explanation()))
    assert set(into_card.read_explanation(tmp_path / "explained.json")) == {
        "data",
        "deletion",
        "completeness",
    }
    (tmp_path / "list.json").write_text("[]")
    for name in ("list.json", "missing.json"):
        with pytest.raises(ConfigError, match=r"JSON object|cannot be read"):
            into_card.read_explanation(tmp_path / name)


def test_the_console_shows_what_was_found_on_a_narrow_screen() -> None:
    figures = figures_of()
    console = Console(width=80, record=True, file=StringIO())
    console.print(scores_table(figures))
    said = console.export_text()
    low, high = figures["per_class"]["happy"]["precision_wilson"]
    row = next(line for line in said.splitlines() if line.startswith("│ happy"))
    assert f"{low:.3f}-{high:.3f}" in row
    assert "male" in said
    assert "Against older" in said
    assert "smaller face" in said
