"""The calls to TensorRT 10.x, and nothing else: ``engine.TensorRt`` on NVIDIA's library.

Checked against the type stubs of 10.13; **not run on a GPU so far**. JetPack 6 carries 10.3.

Precisions. FP16 is the builder's free choice by layer (weak typing). INT8 comes only from graphs
with QuantizeLinear nodes, whose ranges were chosen, measured and sealed at export: calibrators are
deprecated since 10.1 and gone in 11, would choose other ranges on each device, and would need
patients' data there. TensorRT wants those ranges symmetric (zero points of 0).

TensorRT 11 knows strong typing only: the flags FP16, INT8 and the calibrators are removed, so that
a float graph becomes an fp32 engine there (FP16 would have to be in the graph), and a quantised
one works as it is. NVIDIA's notes of 11.3 and 11.4 say that JetPack is not supported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import tensorrt as trt

from edge_app.contracts import Array
from edge_app.errors import InferenceError
from edge_app.inference.cuda_memory import Gpu, TwinBuffer, new_stream, record_graph, wait_for
from edge_app.inference.engine import BuiltEngine, Precision, Tell
from edge_app.inference.manifest import GraphSpec
from edge_app.inference.tensorrt import same_tensors

logger = logging.getLogger(__name__)

OLDEST = 10
WORKSPACE_BYTES = 256 * 2**20
"""Enough for these small graphs, and a Jetson shares it with everything else."""


_DTYPES = {
    trt.DataType.FLOAT: "float32",
    trt.DataType.UINT8: "uint8",
    trt.DataType.INT64: "int64",
    trt.DataType.BOOL: "bool",
}


def _dtype(engine: trt.ICudaEngine, name: str) -> str:
    kind = engine.get_tensor_dtype(name)
    return _DTYPES.get(kind, str(kind))


def _shape(engine: trt.ICudaEngine, name: str) -> tuple[int, ...]:
    dims = engine.get_tensor_shape(name)
    return tuple(int(dims[i]) for i in range(len(dims)))


def _refused(problem: str, next_step: str) -> InferenceError:
    return InferenceError(problem, source=f"TensorRT {trt.__version__}", next_step=next_step)


class NvidiaTensorRt:
    """TensorRT on the first GPU.

    Raises:
        InferenceError: a version before 10, no driver, no GPU.
    """

    def __init__(self) -> None:
        self.version: str = trt.__version__
        if int(self.version.partition(".")[0]) < OLDEST:
            raise _refused("too old: 10.x is needed", "Use JetPack 6 or newer")
        self._gpu = Gpu()
        self.gpu: str = self._gpu.name
        self.compute_capability: str = self._gpu.compute_capability
        self._logger = trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._logger)

    @property
    def float_precisions(self) -> tuple[Precision, ...]:
        """FP16 first, where the builder can choose it: not in TensorRT 11."""
        return ("fp16", "fp32") if hasattr(trt.BuilderFlag, "FP16") else ("fp32",)

    def build(self, model: bytes, precision: Precision, timing: bytes, tell: Tell) -> BuiltEngine:
        """Build an engine; see ``TensorRt.build``."""
        self._gpu.enter()
        builder = trt.Builder(self._logger)
        network = builder.create_network()
        parser = trt.OnnxParser(network, self._logger)
        if not parser.parse(model):
            errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
            raise _refused(
                f"cannot parse the graph: {errors[:300]}", "Run this bundle on ONNX Runtime"
            )
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
        config.progress_monitor = _monitor(tell)
        _choose_precision(config, precision)
        cache = config.create_timing_cache(timing)
        if not config.set_timing_cache(cache, False):  # of another version or GPU
            config.set_timing_cache(config.create_timing_cache(b""), False)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise _refused("cannot build the graph", "See the log above; free memory and try again")
        return BuiltEngine(bytes(plan), bytes(config.get_timing_cache().serialize()))

    def load(self, engine: bytes, spec: GraphSpec) -> NvidiaEngine:
        """Put an engine on the GPU; see ``TensorRt.load``."""
        self._gpu.enter()
        loaded = self._runtime.deserialize_cuda_engine(engine)
        if loaded is None:
            raise _refused(f"the engine of {spec.file} does not load", "It is built anew")
        return NvidiaEngine(self._gpu, loaded, spec)


def _choose_precision(config: trt.IBuilderConfig, precision: Precision) -> None:
    """Say which kernels the builder may take; in TensorRT 11 the graph alone says it."""
    if precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits of mantissa are no fp32
        return
    if not hasattr(trt.BuilderFlag, "FP16"):
        return
    config.set_flag(trt.BuilderFlag.FP16)
    if precision == "int8":
        config.set_flag(trt.BuilderFlag.INT8)


def _monitor(tell: Tell) -> trt.IProgressMonitor:
    """Return what tells of the builder's phases."""
    steps: dict[str, int] = {}

    def start(_: object, phase: str, parent: str | None, n: int) -> None:
        if not parent:
            steps[phase] = n
            tell(f"{phase} ...")

    def complete(_: object, phase: str, step: int) -> bool:
        if phase in steps:
            tell(f"{phase}: {step + 1} of {steps[phase]}")
        return True  # go on

    def finish(_: object, phase: str) -> None:
        steps.pop(phase, None)

    members = {"phase_start": start, "step_complete": complete, "phase_finish": finish}
    monitor: trt.IProgressMonitor = type("Monitor", (trt.IProgressMonitor,), members)()
    return monitor


class NvidiaEngine:
    """An engine with buffers of its own, launched as a CUDA graph where it can be recorded.

    Args:
        gpu: entered by the calling thread.
        engine: of TensorRT.
        spec: the tensors that it must have.

    Raises:
        InferenceError: other tensors, or no memory.
    """

    def __init__(self, gpu: Gpu, engine: trt.ICudaEngine, spec: GraphSpec) -> None:
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        real = {name: (_dtype(engine, name), _shape(engine, name)) for name in names}
        same_tensors((*spec.inputs, *spec.outputs), real, spec.file)
        self._gpu, self._engine = gpu, engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise _refused(f"no memory to run {spec.file}", "Free memory of the GPU")
        self._buffers = {name: TwinBuffer(gpu, shape, kind) for name, (kind, shape) in real.items()}
        for name, buffer in self._buffers.items():
            self._context.set_tensor_address(name, buffer.device_address)
        self._inputs = [tensor.name for tensor in spec.inputs]
        self._outputs = [tensor.name for tensor in spec.outputs]
        self._stream = new_stream()
        self._launch = self._prepare(spec.file)

    def _queue(self) -> None:
        for name in self._inputs:
            self._buffers[name].upload(self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise _refused("the engine cannot be started", "Run `edge-app check`")
        for name in self._outputs:
            self._buffers[name].download(self._stream)

    def _prepare(self, file: str) -> Callable[[], None]:
        for name in self._inputs:
            self._buffers[name].host[...] = 0
        self._queue()  # the first run sets itself up, which cannot be recorded
        wait_for(self._stream)
        try:
            return record_graph(self._stream, self._queue)
        except InferenceError as error:
            logger.info("%s runs without a CUDA graph: %s", file, error)
            return self._queue

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; see ``Engine.run``."""
        self._gpu.enter()
        for name in self._inputs:
            self._buffers[name].host[...] = inputs[name]
        self._launch()
        wait_for(self._stream)
        return {name: self._buffers[name].host.copy() for name in self._outputs}
