"""What runs one graph, whatever the backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edge_app.contracts import Array


class Runner(Protocol):
    """One loaded graph with static shapes."""

    @property
    def backend(self) -> str:
        """Name of the backend, such as ``onnxruntime-cpu``."""

    @property
    def precision(self) -> str:
        """``fp32``, ``fp16`` or ``int8``: which golden tolerance applies."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once.

        Args:
            inputs: one array for each input of the manifest, with its shape and dtype.

        Returns:
            One array for each output of the manifest.

        Raises:
            InferenceError: a wrong input, or the backend failed.
        """
