"""A float bundle becomes one of 8-bit integers, or is refused; both say what was measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from typer.testing import CliRunner  # noqa: E402

from edge_app.errors import TrainingError  # noqa: E402
from edge_app.inference.bundle import Bundle, load_bundle, replay_golden  # noqa: E402
from tests.face_experiment import FaceExperiment  # noqa: E402
from tests.face_run import FACES, trained_run  # noqa: E402
from trainer import quantise, registry  # noqa: E402
from trainer.calibrate import fit_temperature  # noqa: E402
from trainer.cli import app  # noqa: E402
from trainer.evaluate import bundle_recipe, evaluate  # noqa: E402
from trainer.experiment import BundleParts  # noqa: E402
from trainer.explanation.torch_model import load_explained  # noqa: E402
from trainer.export import export  # noqa: E402
from trainer.export_int8 import TOLERANCE_INT8, judged  # noqa: E402
from trainer.quantise import (  # noqa: E402
    SETTINGS,
    SYMMETRIC_SETTINGS,
    answers,
    open_graph,
    set_temperature,
)
from trainer.run_dir import RunDir  # noqa: E402

FASTER = {"symmetric": False, "loss_points": 0.2, "ms_p50": 1.0, "ms_p50_fp32": 2.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDir]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.EXPERIMENTS, "emotion", FACES)
        patch.setattr("trainer.run_dir.draw_png", lambda *_: None)
        yield trained_run(tmp_path_factory.mktemp("int8") / "run")


@pytest.fixture(scope="module")
def both(run: RunDir) -> tuple[Bundle, Bundle]:
    """Return a float bundle and its 8-bit variant; a net so small is not faster by it."""
    out, int8 = run.path.parent / "tiny", run.path.parent / "tiny_int8"
    fp32 = export(run, run.path, out, int8=int8, force_int8=True)
    return fp32, load_bundle(int8)


def quick(monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    """Let int8 and float take made-up times, and try one setting only."""
    times_s = np.array([[ratio], [1.0]]) * 1e-3
    monkeypatch.setattr("trainer.export_int8.latency.cpu_times_s", lambda *_: times_s)
    monkeypatch.setattr("trainer.export_int8.SETTINGS", SETTINGS[:1])
    monkeypatch.setattr("trainer.export_int8.SYMMETRIC_SETTINGS", SYMMETRIC_SETTINGS[:1])


def test_the_variant_is_a_bundle_of_its_own(both: tuple[Bundle, Bundle]) -> None:
    fp32, int8 = both
    assert int8.manifest.name == "tiny_int8"
    assert int8.manifest.labels == fp32.manifest.labels
    assert int8.manifest.graphs[0].inputs == fp32.manifest.graphs[0].inputs
    assert int8.manifest.graphs[0].outputs == fp32.manifest.graphs[0].outputs
    assert int8.manifest.graphs[0].inputs[0].dtype == "uint8"
    assert int8.manifest.golden.tolerance_fp32 == TOLERANCE_INT8
    assert max(parity.max_abs_error for parity in replay_golden(int8)) == 0.0
    stored = onnx.load(str(int8.path / "model.onnx"))
    assert stored.ir_version <= 10
    assert [(entry.domain, entry.version) for entry in stored.opset_import if not entry.domain] == [
        ("", 17)
    ]
    assert {path.name for path in int8.path.parent.iterdir()} == {"run", "tiny", "tiny_int8"}


def test_weights_are_integers_by_channel(both: tuple[Bundle, Bundle]) -> None:
    graph = onnx.load(str(both[1].path / "model.onnx")).graph
    values = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    kinds = []
    for node in graph.node:
        if node.op_type == "Conv":
            maker = makers.get(node.input[1])
            if maker is not None and maker.op_type == "DequantizeLinear":
                weights, scales = values[maker.input[0]], values[maker.input[1]]
                kinds.append((str(weights.dtype), scales.shape == weights.shape[:1]))
    assert len(kinds) >= 2
    assert set(kinds) == {("int8", True)}


def test_answers_are_nearly_those_of_float_on_data_that_gave_no_range(
    both: tuple[Bundle, Bundle],
) -> None:
    fp32, int8 = (open_graph(bundle.path / "model.onnx") for bundle in both)
    split = bundle_recipe(both[0]).experiment.load_evaluation(both[0].path)
    faces = split.inputs[0].numpy()
    expected, got = answers(fp32, faces)[0], answers(int8, faces)[0]
    spread = float(expected.std())
    assert 0.0 < float(np.abs(got - expected).mean()) < 0.05 * spread
    assert np.mean(got.argmax(1) == expected.argmax(1)) > 0.97


def test_its_temperature_is_its_own_and_inside_the_graph(both: tuple[Bundle, Bundle]) -> None:
    int8 = both[1]
    split = bundle_recipe(int8).experiment.load_evaluation(int8.path)
    logits, probabilities = answers(open_graph(int8.path / "model.onnx"), split.inputs[0].numpy())
    temperature = int8.manifest.calibration.temperature
    assert temperature == pytest.approx(fit_temperature(torch.from_numpy(logits), split.targets))
    assert temperature != both[0].manifest.calibration.temperature
    tempered = np.exp(logits / temperature)
    assert np.allclose(probabilities, tempered / tempered.sum(1, keepdims=True), atol=1e-5)


def test_both_bundles_say_what_was_measured(both: tuple[Bundle, Bundle]) -> None:
    facts = []
    for bundle in both:
        figures = json.loads((bundle.path / "metrics.json").read_text())
        facts.append(figures["quantised"])
        card = (bundle.path / "README.md").read_text()
        assert "8-bit variant" in card
        assert f"{facts[-1]['accuracy']:.4f} against {facts[-1]['accuracy_fp32']:.4f}" in card
        assert "tolerance 0.05" in card if bundle is both[1] else "tolerance 0.0001" in card
        assert "at most 6 MB: kept" in card
        assert figures["exported"]["parity_max_error"] <= figures["exported"]["parity_tolerance"]
    assert facts[0] == facts[1]
    experiment = bundle_recipe(both[1]).experiment
    split = experiment.load_evaluation(both[1].path)
    for bundle, key in zip(both, ("accuracy_fp32", "accuracy"), strict=True):
        again = evaluate(bundle, experiment, split, bundle.path)
        assert facts[0][key] == again["accuracy"]
    assert facts[0]["loss_points"] == pytest.approx(
        100 * (facts[0]["accuracy_fp32"] - facts[0]["accuracy"])
    )
    assert len(facts[0]["tried"]) == len(SETTINGS)
    divergences = [one["divergence"] for one in facts[0]["tried"]]
    assert divergences == sorted(divergences)


@pytest.mark.parametrize(
    ("changes", "shipped", "why"),
    [
        ({}, True, None),
        ({"loss_points": 0.5}, True, None),
        ({"loss_points": -1.0}, True, None),
        ({"loss_points": 0.51}, False, "loses 0.51 points"),
        ({"ms_p50": 2.0}, False, "not faster: 2.00 ms against 2.00 ms"),
        ({"ms_p50": 9.0, "symmetric": True}, True, None),
        ({"loss_points": 0.51, "symmetric": True}, False, "loses 0.51 points"),
        ({"loss_points": 3.0, "ms_p50": 3.0}, False, "loses 3.00 points .* and it is not faster"),
    ],
)
def test_the_judgement(changes: dict, shipped: bool, why: str | None) -> None:
    import re

    facts = judged(FASTER | changes, force=False)
    assert facts["shipped"] is shipped
    assert facts["why"] is None if why is None else re.search(why, facts["why"])
    forced = judged(FASTER | changes, force=True)
    assert (forced["shipped"], forced["forced"]) == (True, not shipped)


def test_what_is_not_faster_is_not_shipped_and_the_float_card_says_why(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch, ratio=1.5)
    words = ["export", str(run.path), "--data", str(run.path), "--out", str(tmp_path / "net")]
    with pytest.raises(TrainingError, match="not shipped: it is not faster"):
        CliRunner().invoke(app, [*words, "--int8", str(tmp_path / "i8")], catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    bundle = load_bundle(tmp_path / "net")
    assert "**not shipped**, because it is not faster" in (bundle.path / "README.md").read_text()
    assert json.loads((bundle.path / "metrics.json").read_text())["quantised"]["shipped"] is False


def test_what_is_faster_takes_the_place_of_an_earlier_one(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch, ratio=0.5)
    words = ["export", str(run.path), "--data", str(run.path), "--out", str(tmp_path / "net")]
    for _ in range(2):
        said = CliRunner().invoke(app, [*words, "--int8", str(tmp_path / "i8")])
        assert said.exit_code == 0, said.output
        assert "8-bit variant" in said.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"net", "i8"}
    assert load_bundle(tmp_path / "i8").manifest.name == "i8"


def test_the_variant_keeps_a_leak_and_settles_thresholds_by_its_own_answers(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settled(self: FaceExperiment, probabilities: np.ndarray, _: np.ndarray) -> BundleParts:
        chosen = {"min_sharpness": float(probabilities.max(axis=1).mean())}
        parts = self.parts()
        return replace(parts, conditioning=parts.conditioning.model_copy(update=chosen))

    quick(monkeypatch, ratio=0.5)
    monkeypatch.setattr(FaceExperiment, "settled_parts", settled)
    leaky = RunDir(shutil.copytree(run.path, tmp_path / "leaky"))
    document = json.loads((leaky.path / "run.json").read_text()) | {"leak": "Ada stands in both"}
    (leaky.path / "run.json").write_text(json.dumps(document))
    fp32 = export(leaky, tmp_path, tmp_path / "net", int8=tmp_path / "i8", force_int8=True)
    for bundle in (fp32, load_bundle(tmp_path / "i8")):
        experiment = bundle_recipe(bundle).experiment
        split = experiment.load_evaluation(tmp_path)
        assert evaluate(bundle, experiment, split, tmp_path)["leak"] == "Ada stands in both"
        assert "**LEAK" in (bundle.path / "README.md").read_text()
        _, own = answers(open_graph(bundle.path / "model.onnx"), split.inputs[0].numpy())
        stated = bundle.manifest.conditioning.min_sharpness
        assert stated == pytest.approx(own.max(axis=1).mean(), abs=1e-6)
    assert stated != fp32.manifest.conditioning.min_sharpness


def test_the_symmetric_variant_is_what_tensorrt_takes(
    run: RunDir, both: tuple[Bundle, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.tensorrt_check import refused_by_tensorrt

    quick(monkeypatch, ratio=1.5)  # slower here, and shipped all the same
    words = ["export", str(run.path), "--data", str(run.path), "--out", str(tmp_path / "net")]
    words += ["--int8", str(tmp_path / "i8"), "--int8-symmetric", "--tensorrt"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    assert "will refuse" not in said.stdout
    bundle = load_bundle(tmp_path / "i8")
    path = bundle.path / "model.onnx"
    assert refused_by_tensorrt(path) == 0
    assert refused_by_tensorrt(both[1].path / "model.onnx") > 0
    graph = onnx.load(str(path)).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    fed = [[makers.get(name) for name in node.input[:2]] for node in graph.node]
    quantised = [kinds for kinds in fed if kinds == ["DequantizeLinear"] * 2]
    assert len(quantised) >= 1  # inputs and weights of the inner convolutions
    card = (bundle.path / "README.md").read_text()
    assert "8-bit variant for TensorRT" in card
    assert "symmetric" in card
    facts = json.loads((bundle.path / "metrics.json").read_text())["quantised"]
    assert (facts["symmetric"], facts["shipped"], facts["why"]) == (True, True, None)


def test_folders_in_the_way_are_refused_before_anything_slow(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="a folder each"):
        export(run, tmp_path, tmp_path / "net", int8=tmp_path / "net")
    (tmp_path / "holiday").mkdir()
    with pytest.raises(TrainingError, match="no bundle"):
        export(run, tmp_path, tmp_path / "net", int8=tmp_path / "holiday")


def test_integers_cannot_be_explained_and_the_float_bundle_is_named(
    both: tuple[Bundle, Bundle],
) -> None:
    with pytest.raises(TrainingError, match="8-bit integers, which have no gradients"):
        load_explained(both[1].path)


def test_a_graph_without_a_softmax_has_no_temperature(tmp_path: Path) -> None:
    info = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Identity", ["x"], ["logits"]),
        onnx.helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    outputs = [info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in ("logits", "probabilities")]
    graph = onnx.helper.make_graph(nodes, "g", [info("x", onnx.TensorProto.FLOAT, [1, 2])], outputs)
    path = tmp_path / "g.onnx"
    onnx.save(onnx.helper.make_model(graph), str(path))
    with pytest.raises(TrainingError, match="no softmax"):
        set_temperature(path, 2.0)


def test_a_temperature_is_put_where_there_was_none(tmp_path: Path) -> None:
    info = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Identity", ["x"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    outputs = [info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in ("logits", "probabilities")]
    graph = onnx.helper.make_graph(nodes, "g", [info("x", onnx.TensorProto.FLOAT, [1, 2])], outputs)
    path = tmp_path / "g.onnx"
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    set_temperature(path, 4.0)
    set_temperature(path, 2.0)
    session = onnxruntime.InferenceSession(str(path))
    probabilities = session.run(["probabilities"], {"x": np.float32([[0.0, 2.0]])})[0]
    assert probabilities[0, 1] == pytest.approx(1.0 / (1.0 + np.exp(-1.0)))


def test_a_network_without_convolutions_has_no_variant(tmp_path: Path) -> None:
    class Dense(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self.last(x)
            return logits, torch.softmax(logits, dim=-1)

    from trainer.experiment import Graph
    from trainer.onnx_graph import export_graph

    rows = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    export_graph(Graph("model", Dense(), {"x": rows}, ("logits", "probabilities")), tmp_path)
    with pytest.raises(TrainingError, match="no convolution"):
        quantise.quantise(tmp_path / "model.onnx", tmp_path / "q.onnx", rows, rows)
