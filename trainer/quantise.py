"""One float graph becomes one of 8-bit integers: static QDQ, weights by channel.

Ranges of activations are taken from pictures that were learnt from. Which way of taking them is
best, and whether the first layer stays float, is measured on other such pictures: the least
divergence from the float graph's own probabilities wins. No label and no validation picture is
looked at. Nagel et al. 2021, arXiv 2106.08295.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edge_app.errors import TrainingError
from edge_app.inference.onnx_runtime import load_onnxruntime

Calibration = Literal["minmax", "percentile", "entropy"]
OPERATORS = ("Conv", "Gemm", "Relu", "MaxPool", "Add", "GlobalAveragePool")
"""What is computed in integers; normalisation, the temperature and the softmax stay float."""
TENSORRT_OPERATORS = ("Conv", "Gemm")
"""What TensorRT wants marked: the inputs of layers with weights; it fuses the rest by itself."""
PERCENTILE = 99.999
"""Share of the activations inside the range; 99.99 and less cut off what matters (measured)."""
Run = Callable[[npt.NDArray[Any]], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
"""One example with a leading 1 to its logits and probabilities."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to quantise.

    Args:
        calibration: how the ranges of activations are taken.
        first_is_float: whether the first convolution stays float; the last layer always does.
        symmetric: whether activations are signed with a zero point of 0, as TensorRT wants them;
            ONNX Runtime on x86 is slower with them.
    """

    calibration: Calibration
    first_is_float: bool
    symmetric: bool = False

    def __str__(self) -> str:
        ends = "first and last layer float" if self.first_is_float else "last layer float"
        return f"{self.calibration}, {ends}" + (", symmetric" if self.symmetric else "")


SETTINGS = tuple(
    itertools.starmap(
        Setting, itertools.product(("minmax", "percentile", "entropy"), (True, False))
    )
)
SYMMETRIC_SETTINGS = tuple(
    Setting(calibration, first_is_float=True, symmetric=True)
    for calibration in ("minmax", "percentile", "entropy")
)
"""For TensorRT, which has not always an integer kernel for a first layer of few channels."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A setting and how far its graph strays.

    Args:
        setting: what was tried.
        divergence: mean Kullback-Leibler divergence from the float graph's probabilities, nats.
        agreement: share of examples with the float graph's label.
    """

    setting: Setting
    divergence: float
    agreement: float


def quantise(
    source: Path,
    target: Path,
    calibration: npt.NDArray[Any],
    comparison: npt.NDArray[Any],
    settings: tuple[Setting, ...] = SETTINGS,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Tried, ...]:
    """Write the best of several quantised graphs.

    Args:
        source: a float graph with one input and the outputs ``logits`` and ``probabilities``.
        target: where the quantised graph goes; a folder of it must be there.
        calibration: (n, ...) examples that give the ranges of activations.
        comparison: (n, ...) other examples, on which settings are compared.
        settings: what to try.
        tell: told what is being done.

    Returns:
        What was tried, the chosen one first.

    Raises:
        TrainingError: nothing in the graph can be quantised, or ONNX Runtime cannot do it.
    """
    run = open_graph(source)
    expected = answers(run, comparison)
    tried: list[tuple[Tried, Path]] = []
    with TemporaryDirectory() as folder:
        prepared = _prepare(source, Path(folder) / "prepared.onnx")
        for i, setting in enumerate(settings):
            tell(f"int8 by {setting} ({i + 1} of {len(settings)})")
            path = Path(folder) / f"{i}.onnx"
            _quantise_one(prepared, path, calibration, setting)
            got = answers(open_graph(path), comparison)
            tried.append((_compare(setting, expected[1], got[1]), path))
        tried.sort(key=lambda item: item[0].divergence)
        target.write_bytes(tried[0][1].read_bytes())
    return tuple(one for one, _ in tried)


def open_graph(path: Path) -> Run:
    """Open a graph with one input on one thread.

    Args:
        path: the ONNX file.

    Returns:
        A function from one example to logits and probabilities.
    """
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def run(
        example: npt.NDArray[Any],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        logits, probabilities = session.run(["logits", "probabilities"], {name: example})
        return logits, probabilities

    return run


def answers(
    run: Run, examples: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return logits and probabilities of many examples, fed one at a time as at the bedside."""
    rows = [run(examples[i : i + 1]) for i in range(len(examples))]
    return np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows])


def set_temperature(path: Path, temperature: float) -> None:
    """Give a graph another temperature.

    Args:
        path: an ONNX file whose ``probabilities`` are the softmax of logits over a temperature; a
            graph without a division takes the logits as they are, and gets one.
        temperature: the new one.

    Raises:
        TrainingError: the probabilities come about in another way.
    """
    model = onnx.load(str(path))
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    softmax = makers.get("probabilities")
    if softmax is None or softmax.op_type != "Softmax":
        raise TrainingError(
            "the graph's probabilities are no softmax: its temperature cannot be set",
            source=path.name,
            next_step="Ship the float bundle only",
        )
    divided = makers.get(softmax.input[0])
    if divided is not None and divided.op_type == "Div" and divided.input[0] == "logits":
        graph.node.remove(divided)
        for entry in [old for old in graph.initializer if old.name == divided.input[1]]:
            graph.initializer.remove(entry)
    elif softmax.input[0] != "logits":
        raise TrainingError(
            "the graph's probabilities do not come from its logits alone",
            source=path.name,
            got=softmax.input[0],
            next_step="Ship the float bundle only",
        )
    constant = numpy_helper.from_array(np.float32(temperature), "int8_temperature")
    graph.initializer.append(constant)
    position = list(graph.node).index(softmax)
    names = ["logits", constant.name]
    graph.node.insert(position, helper.make_node("Div", names, ["int8_tempered"]))
    softmax.input[0] = "int8_tempered"
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _prepare(source: Path, target: Path) -> Path:
    """Fold what can be folded and note all shapes, as the quantiser advises."""
    load_onnxruntime()
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with _quiet():
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    return target


_TENSORRT_EXTRA: dict[str, Any] = {
    "ActivationSymmetric": True,
    "QuantizeBias": False,  # no DequantizeLinear of int32 in TensorRT
    "OpTypesToExcludeOutputQuantization": list(TENSORRT_OPERATORS),
}


def _quantise_one(source: Path, target: Path, examples: npt.NDArray[Any], setting: Setting) -> None:
    from onnxruntime import quantization

    graph = onnx.load(str(source)).graph
    kept = [node.name for node in graph.node if "logits" in node.output]
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    if not set(convolutions) - set(kept):
        raise TrainingError(
            "there is no convolution to quantise",
            source=source.name,
            next_step="Leave --int8 out: this network is no faster with integers",
        )
    if setting.first_is_float:
        kept.append(convolutions[0])
    kind = quantization.QuantType
    method = {
        "minmax": quantization.CalibrationMethod.MinMax,
        "percentile": quantization.CalibrationMethod.Percentile,
        "entropy": quantization.CalibrationMethod.Entropy,
    }[setting.calibration]
    extra: dict[str, Any] = dict(_TENSORRT_EXTRA) if setting.symmetric else {}
    if setting.calibration == "percentile":
        extra["CalibPercentile"] = PERCENTILE

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows: Iterator[int] = iter(range(len(examples)))

        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            row = next(self._rows, None)
            return None if row is None else {graph.input[0].name: examples[row : row + 1]}

    try:
        with _quiet():
            quantization.quantize_static(
                str(source),
                str(target),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(TENSORRT_OPERATORS if setting.symmetric else OPERATORS),
                per_channel=True,
                activation_type=kind.QInt8 if setting.symmetric else kind.QUInt8,
                weight_type=kind.QInt8,
                nodes_to_exclude=kept,
                calibrate_method=method,
                extra_options=extra,
            )
    except (ValueError, RuntimeError, TypeError) as error:
        raise TrainingError(
            f"ONNX Runtime cannot quantise the graph: {str(error)[:300]}",
            source=source.name,
            next_step="Leave --int8 out and ship the float bundle",
        ) from error


def _compare(
    setting: Setting, expected: npt.NDArray[np.float32], got: npt.NDArray[np.float32]
) -> Tried:
    floor = 1e-12
    logs = np.log(np.maximum(expected, floor)) - np.log(np.maximum(got, floor))
    agreement = np.mean(expected.argmax(axis=-1) == got.argmax(axis=-1))
    return Tried(setting, float(np.mean((expected * logs).sum(axis=-1))), float(agreement))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's own prints and advice from the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
