"""The seam to TensorRT: what is asked of the vendor's library, and what names an engine.

Everything else of TensorRT's road (cache, parity, fallback) knows only this file, so that it is
tested without a GPU. ``tensorrt_vendor`` is the one implementation that calls the library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

from edge_app.contracts import Array
from edge_app.inference.manifest import GraphSpec

Precision = Literal["fp32", "fp16", "int8"]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EngineKey:
    """All that an engine depends on; an engine is used under its very key only.

    Args:
        model_sha256: of the ONNX file, which holds weights and static shapes.
        tensorrt: version of the library.
        gpu: name of the GPU.
        compute_capability: of the GPU, such as ``8.7``.
        l4t: release of Jetson Linux, such as ``R36.4.3``; ``none`` elsewhere.
        precision: asked of the builder.
    """

    model_sha256: str
    tensorrt: str
    gpu: str
    compute_capability: str
    l4t: str
    precision: Precision

    @property
    def digest(self) -> str:
        """SHA-256 over all parts, hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """What a build gives.

    Args:
        engine: the serialised engine.
        timing: the builder's timing cache, with what this build has measured.
    """

    engine: bytes
    timing: bytes


class Engine(Protocol):
    """An engine on the GPU with its buffers."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; inputs have been checked.

        Args:
            inputs: one contiguous array for each input, with its shape and dtype.

        Returns:
            One array for each output, the caller's own.

        Raises:
            InferenceError: the GPU failed.
        """


class TensorRt(Protocol):
    """TensorRT on this machine's GPU."""

    @property
    def version(self) -> str:
        """Version of the library, such as ``10.3.0``."""

    @property
    def gpu(self) -> str:
        """Name of the GPU."""

    @property
    def compute_capability(self) -> str:
        """Of the GPU, such as ``8.7``."""

    @property
    def float_precisions(self) -> tuple[Precision, ...]:
        """What a graph in float can be built in, the quickest first."""

    def build(self, model: bytes, precision: Precision, timing: bytes, tell: Tell) -> BuiltEngine:
        """Build an engine; takes seconds to minutes.

        Args:
            model: the ONNX file.
            precision: of the engine; ``int8`` needs a graph with QuantizeLinear nodes.
            timing: an earlier build's timing cache, or nothing.
            tell: told how far it is.

        Returns:
            Engine and timing cache.

        Raises:
            InferenceError: the graph cannot be parsed or built.
        """

    def load(self, engine: bytes, spec: GraphSpec) -> Engine:
        """Put an engine on the GPU.

        Args:
            engine: serialised, of this very machine.
            spec: the tensors it must have.

        Returns:
            The engine, ready to run.

        Raises:
            InferenceError: damaged, of another machine, or with other tensors.
        """


def is_quantised(model: bytes) -> bool:
    """Return whether an ONNX graph carries its own 8-bit ranges (QuantizeLinear nodes).

    An operator's name stands in the file as plain bytes, so no ONNX library is needed.
    """
    return b"QuantizeLinear" in model
