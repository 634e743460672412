"""One EEG channel of an EDF, EDF+ or BDF file, read lazily and in microvolts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_app.contracts import UNIT_UV, Chunk, Float32Array, Float64Array, StreamInfo
from edge_app.sources.recording.edf_header import EdfHeader, EdfSignal, read_header
from edge_app.sources.recording.eeg_signal import choose_channel, microvolts_per_unit
from edge_app.sources.recording.protocol import refuse, signal_chunks

_PIECE_BYTES = 4 * 1024 * 1024
"""Of all channels together, at once in memory."""
_MAX_RANGE_UV = 1e30
_ONSET = re.compile(rb"\A([+-]\d{1,12}(?:\.\d*)?)(?:\x15[^\x14]*)?\x14")


class EdfRecording:
    """One channel; only that channel's samples are converted, a few seconds of it at a time.

    Args:
        path: the file.
        channel: its name; None: the best electrode for sleep staging.
        unit: what a sample is, None: what the file says.
        name: the stream's name; None: the file's.

    Raises:
        SourceError: damaged, no such channel, no clear unit.
    """

    def __init__(
        self,
        path: Path,
        *,
        channel: str | None = None,
        unit: str | None = None,
        name: str | None = None,
    ) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            self._header = read_header(path, self._file, path.stat().st_size)
            channels = [signal.channel for signal in self._header.signals]
            index, chosen = choose_channel(path, channels, channel)
            self._signal = self._header.signals[index]
            per_unit, converted = microvolts_per_unit(path, self._signal.channel, unit)
            self._gain, self._offset = _calibration(path, self._signal, per_unit)
            self._segments = _segments(self._file.fileno(), path, self._header, self._signal)
        except BaseException:
            self._file.close()
            raise
        self.assumptions = (*self._header.assumptions, *chosen, *converted)
        start_unix_s = self._header.start_unix_s
        self.info = StreamInfo(
            name=name or path.name,
            kind="eeg",
            rate_hz=self._signal.channel.rate_hz,
            channels=(self._signal.channel.label or "EEG",),
            units=(UNIT_UV,),
            device=path.name,
            simulated=self._header.simulated,
            start_unix_s=None if start_unix_s is None else start_unix_s + self._segments.start_s,
        )
        self._n_samples = self._header.n_records * self._signal.samples_per_record
        last_s = self._times(self._n_samples - 1, self._n_samples)[0]
        self.duration_s = float(last_s) + 1.0 / self.info.rate_hz

    def chunks(self, chunk_samples: int | None = None) -> Iterator[Chunk]:
        """Yield the whole channel from its start."""
        return signal_chunks(self._n_samples, chunk_samples, self.info.rate_hz, self._read)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _times(self, start: int, stop: int) -> Float64Array:
        """Return stamps from absolute indices, so that they do not depend on the chunk."""
        index = np.arange(start, stop)
        return self._segments.times(index, self.info.rate_hz)

    def _read(self, start: int, stop: int) -> tuple[Float64Array, Float32Array]:
        samples = np.empty((stop - start, 1), np.float32)
        done = start
        per_record = self._signal.samples_per_record
        records = max(1, _PIECE_BYTES // self._header.record_bytes)
        while done < stop:
            first = done // per_record
            end = min(stop, (first + records) * per_record)
            digital = self._digital(done, end, whole_records=records > 1)
            samples[done - start : end - start, 0] = (digital + self._offset) * self._gain
            done = end
        return self._times(start, stop), samples

    def _digital(self, start: int, stop: int, *, whole_records: bool) -> npt.NDArray[np.int32]:
        """Return stored numbers; without ``whole_records`` all must be of one record."""
        header, signal = self._header, self._signal
        per_record = signal.samples_per_record
        first, begin = divmod(start, per_record)
        offset = header.data_offset + first * header.record_bytes
        if not whole_records:
            offset += signal.first_byte + begin * header.sample_bytes
            return _decode(self._bytes(offset, (stop - start) * header.sample_bytes), header)
        n_records = -(-stop // per_record) - first
        raw = self._bytes(offset, n_records * header.record_bytes)
        rows = np.frombuffer(raw, np.uint8).reshape(n_records, header.record_bytes)
        last_byte = signal.first_byte + per_record * header.sample_bytes
        digital = _decode(rows[:, signal.first_byte : last_byte].tobytes(), header)
        return digital[begin : begin + stop - start]

    def _bytes(self, offset: int, count: int) -> bytes:
        try:
            self._file.seek(offset)
            raw = self._file.read(count)
        except OSError as error:
            refuse(self._path, f"cannot be read any further: {error}", _LOST, cause=error)
        if len(raw) < count:
            refuse(self._path, "has become shorter since it was opened", _LOST)
        return raw


_LOST = "Check the disk it is on, then start again"


def _decode(raw: bytes, header: EdfHeader) -> npt.NDArray[np.int32]:
    if header.sample_bytes == 2:
        return np.frombuffer(raw, "<i2").astype(np.int32)
    padded = np.zeros((len(raw) // 3, 4), np.uint8)
    padded[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
    return padded.view("<i4")[:, 0].astype(np.int32) >> 8  # the shift brings the sign along


def _calibration(path: Path, signal: EdfSignal, per_unit: float) -> tuple[float, float]:
    """Return gain and offset: microvolts are ``(digital + offset) * gain``."""
    digital_min, digital_max = signal.digital_range
    physical_min, physical_max = signal.physical_range
    span, physical_span = digital_max - digital_min, physical_max - physical_min
    if span == 0 or not 0 < abs(physical_span) * per_unit < _MAX_RANGE_UV:
        refuse(
            path,
            f"channel {signal.channel.label} has no range, so its numbers have no unit",
            "Export the file again, or name another channel with --channel",
            got=f"digital {signal.digital_range}, physical {signal.physical_range}",
        )
    gain = physical_span / span
    return gain * per_unit, physical_max / gain - digital_max


class _Segments:
    """Runs of data records without a gap; one run only, unless the file is EDF+D.

    Args:
        first_sample: index of the first sample of each run.
        onset_s: when it was taken, from the header's start.
    """

    def __init__(self, first_sample: npt.NDArray[np.int64], onset_s: Float64Array) -> None:
        self._first_sample = first_sample
        self.start_s = float(onset_s[0])
        self._onset_s = onset_s - onset_s[0]

    def times(self, index: npt.NDArray[np.int64], rate_hz: float) -> Float64Array:
        """Return the stamps of samples, 0 for the first of the file."""
        times_s: Float64Array = index / rate_hz
        if self._onset_s.shape[0] > 1:
            run = np.searchsorted(self._first_sample, index, side="right") - 1
            times_s = self._onset_s[run] + (index - self._first_sample[run]) / rate_hz
        return times_s


def _segments(fd: int, path: Path, header: EdfHeader, signal: EdfSignal) -> _Segments:
    """Read the onsets of the first record (EDF+C) or of all records (EDF+D)."""
    if header.annotations is None:
        if header.discontinuous:
            refuse(path, "an EDF+D file without the times of its data records", _NO_ONSET)
        return _Segments(np.zeros(1, np.int64), np.zeros(1))
    first_byte, count = header.annotations
    onsets_s = np.zeros(header.n_records if header.discontinuous else 1)
    for record in range(onsets_s.shape[0]):
        raw = os.pread(fd, count, header.data_offset + record * header.record_bytes + first_byte)
        found = _ONSET.match(raw)
        if found is not None:
            onsets_s[record] = float(found[1])
        elif header.discontinuous:
            refuse(path, f"data record {record} does not say when it was taken", _NO_ONSET)
    steps_s = np.diff(onsets_s) - header.record_s
    breaks = np.flatnonzero(np.abs(steps_s) > 0.5 / signal.channel.rate_hz) + 1
    runs = np.concatenate([np.zeros(1, np.int64), breaks])
    return _Segments(runs * signal.samples_per_record, onsets_s[runs])


_NO_ONSET = "Export it again as EDF+C, or as EDF+D with its time-keeping annotations"
