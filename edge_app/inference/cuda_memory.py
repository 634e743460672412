"""Pinned host memory with its twin on the GPU, a stream and a graph, by CUDA's driver interface.

``cuda.bindings`` is NVIDIA's own binding with wheels for aarch64. Its driver part opens the
libcuda that the GPU's driver brings; its runtime part, which holds a CUDA runtime built for
servers, is not used, because a Jetson's is another build. Not run on a GPU so far.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import driver

from edge_app.contracts import Array
from edge_app.errors import InferenceError


def checked(result: tuple[Any, ...]) -> Any:
    """Return what a call of the driver gave.

    Args:
        result: its status, then at most one value.

    Returns:
        The value, or None.

    Raises:
        InferenceError: the status is an error.
    """
    status, *values = result
    if int(status) != 0:
        raise InferenceError(
            f"CUDA failed: {getattr(status, 'name', status)}",
            source="cuda",
            next_step="See `dmesg` and `edge-app check`; a restart of the device frees its GPU",
        )
    return values[0] if values else None


class Gpu:
    """The first GPU and its primary context, which TensorRT uses too.

    Raises:
        InferenceError: no driver or no GPU.
    """

    def __init__(self) -> None:
        try:
            checked(driver.cuInit(0))
        except RuntimeError as error:  # without a driver the library itself is not found
            raise InferenceError(
                f"no CUDA driver: {error}",
                source="cuda",
                next_step="Run on the machine with the GPU, with its driver installed",
            ) from error
        self._device = checked(driver.cuDeviceGet(0))
        name = checked(driver.cuDeviceGetName(128, self._device))
        self.name = bytes(name).split(b"\0")[0].decode().strip()
        attribute = driver.CUdevice_attribute
        major, minor = (
            checked(driver.cuDeviceGetAttribute(which, self._device))
            for which in (
                attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
            )
        )
        self.compute_capability = f"{major}.{minor}"
        self._context = checked(driver.cuDevicePrimaryCtxRetain(self._device))

    def enter(self) -> None:
        """Make the GPU the calling thread's."""
        checked(driver.cuCtxSetCurrent(self._context))


class _Bytes:
    """Lets numpy see memory that it does not own."""

    def __init__(self, address: int, n_bytes: int) -> None:
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (n_bytes,),
            "typestr": "|u1",
            "version": 3,
        }


class TwinBuffer:
    """One tensor in pinned host memory and on the GPU.

    Args:
        gpu: entered by the calling thread.
        shape: of the tensor.
        dtype: of the tensor.
    """

    def __init__(self, gpu: Gpu, shape: tuple[int, ...], dtype: str) -> None:
        self.n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._host_address = int(checked(driver.cuMemHostAlloc(self.n_bytes, 0)))
        self._device_pointer = checked(driver.cuMemAlloc(self.n_bytes))
        self.device_address = int(self._device_pointer)
        memory = np.asarray(_Bytes(self._host_address, self.n_bytes))
        self.host: Array = memory.view(dtype).reshape(shape)
        weakref.finalize(self, _free, gpu, self._host_address, self._device_pointer)

    def upload(self, stream: Any) -> None:
        """Queue the copy to the GPU."""
        checked(
            driver.cuMemcpyHtoDAsync(self._device_pointer, self._host_address, self.n_bytes, stream)
        )

    def download(self, stream: Any) -> None:
        """Queue the copy from the GPU."""
        checked(
            driver.cuMemcpyDtoHAsync(self._host_address, self._device_pointer, self.n_bytes, stream)
        )


def _free(gpu: Gpu, host_address: int, device_pointer: Any) -> None:
    gpu.enter()
    driver.cuMemFreeHost(host_address)
    driver.cuMemFree(device_pointer)


def new_stream() -> Any:
    """Return a stream that does not wait for the default one."""
    return checked(driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING))


def wait_for(stream: Any) -> None:
    """Wait until all that was queued is done."""
    checked(driver.cuStreamSynchronize(stream))


def record_graph(stream: Any, queue: Callable[[], None]) -> Callable[[], None]:
    """Record what is queued on a stream and return what launches it all by one call.

    Args:
        stream: with nothing left to do.
        queue: queues copies and kernels on it.

    Returns:
        Launches the graph on the stream.

    Raises:
        InferenceError: something in it cannot be recorded; the stream can be used as before.
    """
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    checked(driver.cuStreamBeginCapture(stream, mode))
    try:
        queue()
    finally:
        ended = driver.cuStreamEndCapture(stream)
    graph = checked(driver.cuGraphInstantiate(checked(ended), 0))

    def launch() -> None:
        checked(driver.cuGraphLaunch(graph, stream))

    return launch
