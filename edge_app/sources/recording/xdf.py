"""One EEG channel or one IMU of an XDF file (Lab Streaming Layer's recorder).

The stamps are those that were recorded, after clock synchronisation and without dejittering, which
would smear gaps away. Only the wanted channels stay in memory: 12 bytes a sample of EEG.
"""

from __future__ import annotations

import gzip
import io
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import ParseError

import numpy as np

from edge_app.contracts import (
    IMU_CHANNELS,
    IMU_UNITS,
    UNIT_UV,
    Chunk,
    Float32Array,
    Float64Array,
    StreamInfo,
)
from edge_app.sources.recording.eeg_signal import EegChannel, choose_channel, microvolts_per_unit
from edge_app.sources.recording.imu_columns import axis_of
from edge_app.sources.recording.imu_units import acceleration_factor, angular_rate_factor
from edge_app.sources.recording.protocol import refuse, signal_chunks
from edge_app.sources.recording.xdf_layout import XdfLayout, XdfStream, read_layout, read_start

_JITTER_S = 0.02
"""LSL stamps a whole packet at once; a wireless packet holds up to some 12 samples."""
_TYPES = {
    "eeg": frozenset({"eeg"}),
    "imu": frozenset({"imu", "motion", "mocap", "accelerometer", "acc", "inertial", "gait"}),
}
_PYXDF_ERRORS = (
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    RuntimeError,
    OSError,
    EOFError,
    MemoryError,
    ParseError,
    struct.error,
    zlib.error,
)
"""What pyxdf 1.17 lets out of a damaged file."""


class XdfRecording:
    """One stream of an XDF file.

    Args:
        path: the file, gzipped or not.
        kind: ``eeg`` or ``imu``: which stream to look for.
        channel: EEG: the channel, or STREAM/CHANNEL; IMU: the stream's name. None: the best.
        unit: of EEG or acceleration; None: what the file says.
        gyr_unit: of the angular rate; None: what the file or else its numbers say.
        rate_hz: None: the stream's nominal rate.
        name: the stream's name; None: the file's.

    Raises:
        SourceError: damaged, no such stream or channel, no clear unit, no rate.
    """

    def __init__(
        self,
        path: Path,
        *,
        kind: Literal["eeg", "imu"],
        channel: str | None = None,
        unit: str | None = None,
        gyr_unit: str | None = None,
        rate_hz: float | None = None,
        name: str | None = None,
    ) -> None:
        try:
            with _opened(path) as file:
                layout = read_layout(path, file)
            stream, rest = _choose_stream(path, layout.streams, kind, channel)
            columns, chosen = _choose_columns(path, stream, kind, rest)
            stamps_s, values = _load(path, layout, stream, columns)
        except (OSError, EOFError, zlib.error) as error:
            refuse(path, f"cannot be read: {error}", "Copy the file again", cause=error)
        if stamps_s.size == 0 or not np.isfinite(stamps_s).all():
            refuse(path, f"stream {stream.name} has no samples with valid stamps", "Record again")
        if kind == "eeg":
            described = EegChannel(
                stream.labels[columns[0]], stream.units[columns[0]], stream.rate_hz
            )
            factor, converted = microvolts_per_unit(path, described, unit)
            factors = np.array([factor])
        else:
            units = [stream.units[i] for i in columns]
            acc, said = acceleration_factor(path, values[:, :3], unit, units[0])
            gyr, also = angular_rate_factor(path, values[:, 3:], gyr_unit, units[3])
            factors, converted = np.array([acc] * 3 + [gyr] * 3), said + also
        self._times_s = stamps_s - stamps_s[0]
        with np.errstate(all="ignore"):
            self._samples = (values * factors).astype(np.float32)
        self._samples[~np.isfinite(self._samples)] = np.nan
        rate_hz, rated = _rate(path, stream, rate_hz)
        start_unix_s, dated = read_start(layout)
        self.assumptions = (*_cut_off(layout), *chosen, *converted, *rated, *dated)
        self.info = StreamInfo(
            name=name or path.name,
            kind=kind,
            rate_hz=rate_hz,
            channels=(stream.labels[columns[0]],) if kind == "eeg" else IMU_CHANNELS,
            units=(UNIT_UV,) if kind == "eeg" else IMU_UNITS,
            device=path.name,
            simulated=stream.simulated,
            start_unix_s=start_unix_s,
            jitter_s=_JITTER_S,
        )
        self.duration_s = float(self._times_s[-1]) + 1.0 / rate_hz

    def chunks(self, chunk_samples: int | None = None) -> Iterator[Chunk]:
        """Yield the whole stream from its start."""

        def read(start: int, stop: int) -> tuple[Float64Array, Float32Array]:
            return self._times_s[start:stop], self._samples[start:stop]

        return signal_chunks(self._samples.shape[0], chunk_samples, self.info.rate_hz, read)

    def close(self) -> None:
        """Do nothing: the file is closed already."""


def _opened(path: Path) -> io.BufferedIOBase:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _choose_stream(
    path: Path, streams: list[XdfStream], kind: str, channel: str | None
) -> tuple[XdfStream, str | None]:
    """Return the stream, and what of ``channel`` names a channel in it."""
    listed = "; ".join(str(stream) for stream in streams) or "no stream at all"
    fitting = [s for s in streams if s.numeric and s.type.casefold() in _TYPES[kind] and s.labels]
    rest = channel
    if channel is not None:
        named, _, after = channel.partition("/")
        by_name = [s for s in fitting if s.name.casefold() == named.strip().casefold()]
        if by_name and (after or kind == "imu"):
            fitting, rest = by_name, after.strip() or None
        elif kind == "imu":
            fitting = []
    if len(fitting) != 1:
        how = "STREAM/CHANNEL" if kind == "eeg" else "STREAM"
        refuse(
            path,
            f"{len(fitting) or 'no'} {kind.upper()} streams fit",
            f"Name one with --channel {how}" if fitting else "Name another file or task",
            expected=f"one of type {' or '.join(sorted(_TYPES[kind]))}",
            got=listed,
        )
    return fitting[0], rest


def _choose_columns(
    path: Path, stream: XdfStream, kind: str, channel: str | None
) -> tuple[list[int], tuple[str, ...]]:
    if kind == "eeg":
        if channel is None and len(stream.labels) == 1:
            return [0], ()
        channels = [
            EegChannel(label, unit, stream.rate_hz)
            for label, unit in zip(stream.labels, stream.units, strict=True)
        ]
        index, said = choose_channel(path, channels, channel)
        return [index], said
    axes = [axis_of(label) for label in stream.labels]
    missing = [axis for axis in IMU_CHANNELS if axis not in axes]
    if missing:
        refuse(
            path,
            f"stream {stream.name} lacks channels: {', '.join(missing)}",
            "Label the channels acc_x, acc_y, acc_z, gyr_x, gyr_y, gyr_z in the recorder",
            got=", ".join(stream.labels),
        )
    return [axes.index(axis) for axis in IMU_CHANNELS], ()


def _load(
    path: Path, layout: XdfLayout, stream: XdfStream, columns: list[int]
) -> tuple[Float64Array, Float64Array]:
    """Return stamps on the recorder's clock and the wanted columns as they are in the file."""
    import pyxdf

    def keep(values: Any, stamps: Any, header: Any, _: int) -> tuple[Any, Any, Any]:
        return values[:, columns], stamps, header

    file = _opened(path)
    if layout.cut_off:
        with file:
            file = io.BytesIO(file.read(layout.whole_bytes))
    try:
        with file, np.errstate(all="ignore"), _without_segment_warning():
            streams, _ = pyxdf.load_xdf(
                file,
                select_streams=[stream.stream_id],
                on_chunk=keep,
                dejitter_timestamps=False,
            )
            stamps_s = np.asarray(streams[0]["time_stamps"], np.float64)
            values = np.asarray(streams[0]["time_series"], np.float64)
    except _PYXDF_ERRORS as error:
        refuse(path, f"damaged XDF file: {error}", "Copy the file again", cause=error)
    return stamps_s, values.reshape(-1, len(columns))


@contextmanager
def _without_segment_warning() -> Iterator[None]:
    """Silence one warning of pyxdf: without dejittering its two lists of segments always differ."""

    def keep(record: logging.LogRecord) -> bool:
        return "clock-segments differ" not in record.getMessage()

    logger = logging.getLogger("pyxdf.pyxdf")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _rate(path: Path, stream: XdfStream, rate_hz: float | None) -> tuple[float, tuple[str, ...]]:
    stated_hz = stream.rate_hz
    if not (np.isfinite(stated_hz) and stated_hz > 0):
        if rate_hz is None:
            refuse(path, f"stream {stream.name} has no nominal rate", "Say it with --rate-hz")
        return rate_hz, ()
    if rate_hz is None or rate_hz == stated_hz:
        return stated_hz, ()
    said = f"rate taken as {rate_hz:g} Hz as --rate-hz says; the stream says {stated_hz:g} Hz"
    return rate_hz, (said,)


def _cut_off(layout: XdfLayout) -> tuple[str, ...]:
    said = (
        f"the file is cut off or damaged: its first {layout.whole_bytes} bytes are whole and read"
    )
    return (said,) if layout.cut_off else ()
