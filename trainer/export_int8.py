"""A float bundle becomes one of 8-bit integers, with a temperature and golden cases of its own.

It is shipped only where it is faster and loses next to nothing; both cards say what was measured.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from edge_app.errors import TrainingError
from edge_app.inference.bundle import Bundle, load_bundle, require_golden, sha256_of
from edge_app.inference.manifest import Conditioning, Golden, Manifest
from trainer import latency
from trainer.bundle_files import finish_bundle, write_manifest
from trainer.calibrate import fit_temperature
from trainer.evaluate import BUNDLE_RECIPE, evaluate
from trainer.experiment import Experiment, Split
from trainer.export_facts import exported_facts
from trainer.provenance import Provenance
from trainer.quantise import (
    SETTINGS,
    SYMMETRIC_SETTINGS,
    Tried,
    answers,
    open_graph,
    quantise,
    set_temperature,
)

CALIBRATION_EXAMPLES = 256
COMPARISON_EXAMPLES = 512
MAX_LOSS_POINTS = 0.5
TOLERANCE_INT8 = 0.05
"""Integer kernels of different machines round differently: ORT's integer kernels and its float
emulation of the same graph differ by up to 0.013 in a logit on 300 PublicTest faces (measured)."""
GRAPH = "model.onnx"


@dataclass(frozen=True, slots=True)
class Int8:
    """A quantised bundle in a folder of its own, not yet in its place.

    Args:
        folder: everything but metrics, card and the last manifest.
        manifest: without metrics.
        figures: its own, as ``evaluate`` gave them.
        facts: what both cards say, ``shipped`` among them.
    """

    folder: Path
    manifest: Manifest
    figures: dict[str, Any]
    facts: dict[str, Any]

    @property
    def shipped(self) -> bool:
        """Whether it may take its place."""
        return bool(self.facts["shipped"])

    def finish(self, experiment: Experiment, provenance: Provenance, scored_on: str) -> None:
        """Write manifest, figures and card.

        Args:
            experiment: whose bundle it is.
            provenance: where the weights come from.
            scored_on: what the figures come from.
        """
        figures = {
            **self.figures,
            "exported": exported_facts(load_bundle(self.folder)),
            "quantised": self.facts,
        }
        story = "Quantised after training to 8-bit integers from the float bundle of the same run."
        finish_bundle(self.folder, self.manifest, figures, experiment, provenance, scored_on, story)


def refuse_unfit(experiment: Experiment, bundle: Bundle) -> None:
    """Refuse a task that has no 8-bit variant.

    Args:
        experiment: whose bundle it is.
        bundle: in float.

    Raises:
        TrainingError: more than one graph, more than one input, or fitted without passes.
    """
    graphs = bundle.manifest.graphs
    if len(graphs) != 1 or len(graphs[0].inputs) != 1 or experiment.fits_directly:
        raise TrainingError(
            f"no 8-bit variant of {experiment.task} by this recipe",
            expected="one graph with one input, trained by passes",
            got=[graph.role for graph in graphs],
            next_step="Leave --int8 out",
        )


def make_int8(
    bundle: Bundle,
    fp32: dict[str, Any],
    experiment: Experiment,
    splits: tuple[Split, Split],
    data_dir: Path,
    folder: Path,
    name: str,
    *,
    symmetric: bool = False,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Int8:
    """Quantise a bundle and measure what it costs and gives.

    Args:
        bundle: in float, loaded.
        fp32: its figures on validation.
        experiment: whose bundle it is.
        splits: training, which gives ranges and chooses settings; validation, which fits the
            temperature and the thresholds of its own and is scored.
        data_dir: where they came from.
        folder: empty; the quantised bundle is made in it.
        name: of the quantised bundle.
        symmetric: with the ranges that TensorRT takes; its speed here is no reason against it.
        force: ship it whatever it loses.
        tell: told what is being done.

    Returns:
        The quantised bundle, its ``facts`` say whether it may be shipped.

    Raises:
        TrainingError: it cannot be quantised, or is no graph for the bedside.
        InferenceError: its answers cannot be repeated.
    """
    refuse_unfit(experiment, bundle)
    train, validation = splits
    calibration, comparison = _draw(train)
    source, target = bundle.path / bundle.manifest.graphs[0].file, folder / GRAPH
    settings = SYMMETRIC_SETTINGS if symmetric else SETTINGS
    tried = quantise(source, target, calibration, comparison, settings, tell)
    _refuse_new_format(target, onnx.load(str(source)))
    tell("int8: fitting its temperature, scoring and timing")
    faces = validation.batch(slice(None))[0].numpy()
    logits, _ = answers(open_graph(target), faces)
    temperature = fit_temperature(
        torch.from_numpy(logits), validation.targets, balanced=experiment.equal_shares
    )
    set_temperature(target, temperature)
    settled = experiment.settled_parts(
        torch.softmax(torch.from_numpy(logits).double() / temperature, dim=-1).numpy(),
        validation.targets.numpy(),
    )
    shutil.copy(bundle.path / BUNDLE_RECIPE, folder / BUNDLE_RECIPE)
    manifest = _manifest(bundle, folder, name, temperature, settled.conditioning)
    write_manifest(folder, manifest)
    small = load_bundle(folder)
    require_golden(small)
    figures = evaluate(small, experiment, validation, data_dir)
    float_logits, _ = answers(open_graph(source), faces)
    facts = {
        **_losses(figures, fp32, logits, float_logits),
        **_speeds(bundle, small),
        **_settings(tried, train, len(calibration), len(comparison)),
        "symmetric": symmetric,
        "temperature": temperature,
        "temperature_fp32": bundle.manifest.calibration.temperature,
        "golden_max_difference_to_fp32": _golden_difference(bundle, small),
    }
    figures |= {"bundle": name, **({"leak": fp32["leak"]} if "leak" in fp32 else {})}
    return Int8(folder, manifest, figures, judged(facts, force=force))


def judged(facts: dict[str, Any], *, force: bool) -> dict[str, Any]:
    """Return the facts with the judgement: ``shipped``, ``forced`` and ``why`` not otherwise.

    Args:
        facts: with ``loss_points``, ``symmetric``, ``ms_p50`` and ``ms_p50_fp32``: what is
            symmetric is for a GPU, whatever time a CPU takes for it.
        force: ship it whatever it loses.

    Returns:
        The same, judged.
    """
    reasons = []
    if facts["loss_points"] > MAX_LOSS_POINTS:
        reasons.append(
            f"it loses {facts['loss_points']:.2f} points of accuracy, more than {MAX_LOSS_POINTS}"
        )
    if not facts["symmetric"] and facts["ms_p50"] >= facts["ms_p50_fp32"]:
        reasons.append(
            f"it is not faster: {facts['ms_p50']:.2f} ms against {facts['ms_p50_fp32']:.2f} ms"
        )
    why = " and ".join(reasons) or None
    return {
        "shipped": why is None or force,
        "forced": force and why is not None,
        "why": why,
    } | facts


def _draw(train: Split) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return examples that give ranges, and others that compare settings."""
    order = np.random.default_rng(0).permutation(len(train.targets))
    n = min(CALIBRATION_EXAMPLES, len(order) // 2)
    chosen = order[: n + COMPARISON_EXAMPLES]
    examples = train.batch(torch.from_numpy(chosen))[0].numpy()
    return examples[:n], examples[n:]


def _refuse_new_format(path: Path, source: onnx.ModelProto) -> None:
    """Refuse a graph that an older ONNX Runtime than ours would not load."""
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    ours = {entry.domain: entry.version for entry in source.opset_import}
    if model.ir_version > source.ir_version or opsets.get("") != ours.get(""):
        raise TrainingError(
            "the quantised graph is of a newer format than the float one",
            source=path.name,
            expected=f"IR version {source.ir_version}, opsets {ours}",
            got=f"IR version {model.ir_version}, opsets {opsets}",
            next_step="Use the onnxruntime version that the constraints file names",
        )


def _manifest(
    bundle: Bundle, folder: Path, name: str, temperature: float, conditioning: Conditioning
) -> Manifest:
    manifest = bundle.manifest
    graph = manifest.graphs[0].model_copy(
        update={"file": GRAPH, "sha256": sha256_of(folder / GRAPH)}
    )
    return manifest.model_copy(
        update={
            "name": name,
            "graphs": (graph,),
            "conditioning": conditioning,
            "golden": _write_golden(bundle, folder),
            "calibration": manifest.calibration.model_copy(update={"temperature": temperature}),
            "metrics": (),
        }
    )


def _write_golden(bundle: Bundle, folder: Path) -> Golden:
    """Store the float bundle's golden inputs with the quantised graph's own answers."""
    role, key = bundle.manifest.graphs[0].role, bundle.manifest.graphs[0].inputs[0].name
    with np.load(bundle.path / bundle.manifest.golden.file, allow_pickle=False) as stored:
        examples = stored[f"{role}/{key}"]
    logits, probabilities = answers(open_graph(folder / GRAPH), examples)
    path = folder / "golden.npz"
    arrays: dict[str, Any] = {
        f"{role}/{key}": examples,
        f"{role}/logits": logits,
        f"{role}/probabilities": probabilities,
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return bundle.manifest.golden.model_copy(
        update={
            "file": path.name,
            "sha256": sha256_of(path),
            "tolerance_fp32": TOLERANCE_INT8,
            "tolerance_fp16": TOLERANCE_INT8,
        }
    )


def _losses(
    figures: dict[str, Any],
    fp32: dict[str, Any],
    logits: npt.NDArray[np.float32],
    float_logits: npt.NDArray[np.float32],
) -> dict[str, Any]:
    return {
        "data": figures["data"],
        "n": figures["n"],
        "accuracy": figures["accuracy"],
        "accuracy_fp32": fp32["accuracy"],
        "loss_points": 100.0 * (fp32["accuracy"] - figures["accuracy"]),
        "macro_f1": figures["macro_f1"],
        "macro_f1_fp32": fp32["macro_f1"],
        "ece": figures["ece"],
        "ece_fp32": fp32["ece"],
        "agreement": float(np.mean(logits.argmax(axis=-1) == float_logits.argmax(axis=-1))),
        "logit_difference_max": float(np.abs(logits - float_logits).max()),
        "logit_difference_rms": float(np.sqrt(np.mean((logits - float_logits) ** 2))),
    }


def _speeds(bundle: Bundle, small: Bundle) -> dict[str, Any]:
    spec = bundle.manifest.graphs[0]
    with np.load(bundle.path / bundle.manifest.golden.file, allow_pickle=False) as stored:
        fed = {spec.inputs[0].name: stored[f"{spec.role}/{spec.inputs[0].name}"][:1]}
    runners = (small.runners[spec.role], bundle.runners[spec.role])
    times_s = latency.cpu_times_s([partial(runner.run, fed) for runner in runners])
    ms, ms_fp32 = 1e3 * np.median(times_s, axis=1)
    sizes = [(one.path / one.manifest.graphs[0].file).stat().st_size for one in (small, bundle)]
    return {
        "ms_p50": round(float(ms), 3),
        "ms_p50_fp32": round(float(ms_fp32), 3),
        "file_mb": sizes[0] / 1e6,
        "file_mb_fp32": sizes[1] / 1e6,
    }


def _settings(
    tried: tuple[Tried, ...], train: Split, calibration: int, comparison: int
) -> dict[str, Any]:
    return {
        "setting": str(tried[0].setting),
        "tried": [
            {"setting": str(t.setting), "divergence": t.divergence, "agreement": t.agreement}
            for t in tried
        ],
        "calibrated_on": train.name,
        "calibration_examples": calibration,
        "comparison_examples": comparison,
    }


def _golden_difference(bundle: Bundle, small: Bundle) -> float:
    """Return the largest difference of a logit or probability on the golden cases."""
    stored = []
    for one in (bundle, small):
        with np.load(one.path / one.manifest.golden.file, allow_pickle=False) as golden:
            role = one.manifest.graphs[0].role
            stored.append([golden[f"{role}/{name}"] for name in ("logits", "probabilities")])
    return max(float(np.abs(a - b).max()) for a, b in zip(*stored, strict=True))
