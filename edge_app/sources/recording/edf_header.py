"""The header of an EDF, EDF+ or BDF file, parsed by edfio and checked against the file's size.

edfio gets the header only: it would hold a whole BDF file in memory, and refuses nothing.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

from edge_app.sources.recording.eeg_signal import EegChannel
from edge_app.sources.recording.protocol import refuse

BDF_MAGIC = b"\xffBIOSEMI"
EDF_MAGIC = b"0       "
_FIXED_BYTES = 256
_MAX_SIGNALS = 4096
_EDFIO_ERRORS = (ValueError, ArithmeticError, LookupError, NameError, TypeError, AttributeError)
"""What edfio 0.4 lets out of a damaged header (a record of 0 s: UnboundLocalError)."""


@dataclass(frozen=True, slots=True)
class EdfSignal:
    """One ordinary signal.

    Args:
        channel: name, unit and rate.
        samples_per_record: samples of it in a data record.
        first_byte: where its samples begin in a data record.
        digital_range: least and largest stored number.
        physical_range: what they stand for, in the signal's unit.
    """

    channel: EegChannel
    samples_per_record: int
    first_byte: int
    digital_range: tuple[int, int]
    physical_range: tuple[float, float]


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """What the header says and how much of it is there.

    Args:
        signals: ordinary signals, in the file's order.
        sample_bytes: 2 in EDF, 3 in BDF.
        data_offset: where the first data record begins.
        record_bytes: length of a data record.
        record_s: duration of a data record.
        n_records: whole data records in the file.
        discontinuous: True for EDF+D: each record carries its own start.
        annotations: first byte and length, in a record, of the signal that carries it.
        start_unix_s: header date and time, taken as UTC; None when there is none.
        simulated: True when the recording field says so.
        assumptions: what had to be assumed.
    """

    signals: tuple[EdfSignal, ...]
    sample_bytes: int
    data_offset: int
    record_bytes: int
    record_s: float
    n_records: int
    discontinuous: bool
    annotations: tuple[int, int] | None
    start_unix_s: float | None
    simulated: bool
    assumptions: tuple[str, ...]


def read_header(path: Path, file: io.BufferedIOBase, size_bytes: int) -> EdfHeader:
    """Read and check the header.

    Args:
        path: the file, for errors.
        file: it, opened.
        size_bytes: its length.

    Raises:
        SourceError: a header that cannot be parsed, or no whole data record behind it.
    """
    fixed = file.read(_FIXED_BYTES)
    n_signals = _number(path, fixed[252:256], "number of signals")
    if len(fixed) < _FIXED_BYTES or not 1 <= n_signals <= _MAX_SIGNALS:
        _damaged(path, "no valid number of signals", got=n_signals)
    per_signal = file.read(_FIXED_BYTES * n_signals)
    if len(per_signal) < _FIXED_BYTES * n_signals:
        _damaged(path, f"the header of {n_signals} signals is cut off")
    bdf = fixed[:8] == BDF_MAGIC
    parsed = _parse(path, fixed, per_signal, bdf=bdf)
    sample_bytes = 3 if bdf else 2
    signals, annotations, record_bytes = _layout(path, parsed, sample_bytes)
    offset = _number(path, fixed[184:192], "header length")
    if offset < _FIXED_BYTES * (n_signals + 1) or record_bytes < 1:
        _damaged(path, "lengths in the header contradict each other", got=offset)
    n_records, said = _count_records(path, fixed, (size_bytes - offset) / record_bytes)
    start_unix_s, dated = _start(fixed)
    reserved = fixed[192:236]
    return EdfHeader(
        signals=signals,
        sample_bytes=sample_bytes,
        data_offset=offset,
        record_bytes=record_bytes,
        record_s=parsed.data_record_duration,
        n_records=n_records,
        discontinuous=reserved[3:5] == b"+D",
        annotations=annotations if reserved[3:4] == b"+" else None,
        start_unix_s=start_unix_s,
        simulated=b"simulated" in fixed[88:168].lower(),
        assumptions=(*said, dated),
    )


def _parse(path: Path, fixed: bytes, per_signal: bytes, *, bdf: bool) -> Any:
    """Let edfio read a header that announces no data (it would warn of their absence)."""
    import edfio

    read = edfio.read_bdf if bdf else edfio.read_edf
    header = fixed[:236] + b"0       " + fixed[244:] + per_signal
    try:
        parsed = read(io.BytesIO(header), header_encoding="latin-1")
        if not 0 < parsed.data_record_duration < float("inf"):
            _damaged(path, "data records have no duration", got=parsed.data_record_duration)
    except _EDFIO_ERRORS as error:
        _damaged(path, "the header cannot be parsed", cause=error)
    return parsed


def _layout(
    path: Path, parsed: Any, sample_bytes: int
) -> tuple[tuple[EdfSignal, ...], tuple[int, int] | None, int]:
    """Return the ordinary signals, the place of the first annotations, bytes of a record."""
    signals: list[EdfSignal] = []
    annotations: tuple[int, int] | None = None
    first_byte = 0
    try:
        for raw in parsed._signals:  # the public list leaves out annotations, which have bytes too
            n = raw.samples_per_data_record
            if n < 0:
                _damaged(path, "a signal has a negative number of samples", got=n)
            if raw._is_annotation_signal:
                annotations = annotations or (first_byte, n * sample_bytes)
            elif n:
                signals.append(_signal(raw, first_byte))
            first_byte += n * sample_bytes
    except _EDFIO_ERRORS as error:
        _damaged(path, "the header cannot be parsed", cause=error)
    return tuple(signals), annotations, first_byte


def _signal(raw: Any, first_byte: int) -> EdfSignal:
    label, unit = _text(raw.label), _text(raw.physical_dimension)
    return EdfSignal(
        channel=EegChannel(label, unit, float(raw.sampling_frequency)),
        samples_per_record=raw.samples_per_data_record,
        first_byte=first_byte,
        digital_range=(raw.digital_min, raw.digital_max),
        physical_range=(raw.physical_min, raw.physical_max),
    )


def _text(latin1: str) -> str:
    """Return a header text; some writers use UTF-8 for the letter mu."""
    try:
        return latin1.encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        return latin1.strip()


def _count_records(path: Path, fixed: bytes, there: float) -> tuple[int, tuple[str, ...]]:
    stated = _number(path, fixed[236:244], "number of data records")
    whole = int(max(there, 0))
    if whole < 1:
        refuse(
            path,
            "the file ends before its first whole data record",
            "Copy the file again, or record again",
            expected=f"{stated} data records",
            got=0,
        )
    if stated == whole:
        return whole, ()
    if stated < 0:
        return whole, (f"the header leaves the number of data records open, {whole} are there",)
    if stated > whole:
        said = f"the file is cut off: {whole} of {stated} data records are whole and read"
    else:
        said = f"the header speaks of {stated} data records, {whole} are there and read"
    return whole, (said,)


def _start(fixed: bytes) -> tuple[float | None, str]:
    """Return the Unix time of the header's date and time, and the sentence about it."""
    written = re.fullmatch(
        rb"([ \d]\d)\D([ \d]\d)\D(\d\d)([ \d]\d)\D([ \d]\d)\D([ \d]\d)", fixed[168:184]
    )
    anonymous = re.match(rb"Startdate\s+X\b", fixed[88:168]) is not None
    if written is None or anonymous:
        return None, "the file has no start date, so results carry no wall-clock time"
    day, month, year, hour, minute, second = (int(part) for part in written.groups())
    year += 1900 if year >= 85 else 2000  # the EDF rule, good until 2084
    try:
        start = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None, "the file has no valid start date, so results carry no wall-clock time"
    return start.timestamp(), f"start {start:%Y-%m-%d %H:%M:%S} taken as UTC"


def _number(path: Path, field: bytes, what: str) -> int:
    try:
        return int(field)
    except ValueError as error:
        _damaged(path, f"no valid {what}", got=repr(field.decode("latin-1")), cause=error)


def _damaged(
    path: Path, problem: str, *, got: object = None, cause: BaseException | None = None
) -> NoReturn:
    refuse(
        path,
        f"damaged EDF or BDF header: {problem}",
        "Copy the file again, or export it again from the recording program",
        got=got,
        cause=cause,
    )
