"""The chunks of an XDF file: which streams it has, and where its last whole chunk ends.

XDF 1.0, https://github.com/sccn/xdf/wiki/Specifications: ``XDF:``, then chunks of length, tag,
content. pyxdf fails on a file that ends inside a chunk, as one of a recorder that was cut off does.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree

from edge_app.sources.recording.protocol import refuse

XDF_MAGIC = b"XDF:"
_FILE_HEADER, _STREAM_HEADER = 1, 2
_TAGS = range(1, 7)


@dataclass(frozen=True, slots=True)
class XdfStream:
    """One stream as its header describes it.

    Args:
        stream_id: number in the file.
        name: maybe empty.
        type: such as ``EEG`` or ``Markers``, maybe empty.
        rate_hz: nominal rate, 0 when irregular.
        numeric: False for streams of text.
        labels: channel names; numbers from 1 where there are none.
        units: one a channel, maybe empty.
        simulated: True when the header says so.
    """

    stream_id: int
    name: str
    type: str
    rate_hz: float
    numeric: bool
    labels: tuple[str, ...]
    units: tuple[str, ...]
    simulated: bool

    def __str__(self) -> str:
        channels = ", ".join(self.labels[:12]) + (" ..." if len(self.labels) > 12 else "")
        return f"{self.name or 'unnamed'} (type {self.type}, {self.rate_hz:g} Hz: {channels})"


@dataclass(slots=True)
class XdfLayout:
    """What the file holds.

    Attributes:
        streams: all streams, in order of appearance.
        start_text: date and time of the file header, maybe empty.
        whole_bytes: where the last whole chunk ends.
        cut_off: True when something follows it that is no whole chunk.
    """

    streams: list[XdfStream] = field(default_factory=list)
    start_text: str = ""
    whole_bytes: int = len(XDF_MAGIC)
    cut_off: bool = False


def read_layout(path: Path, file: io.BufferedIOBase) -> XdfLayout:
    """Walk over the chunks without reading samples.

    Args:
        path: the file, for errors.
        file: it, opened; left anywhere.

    Raises:
        SourceError: a header that cannot be parsed.
    """
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(len(XDF_MAGIC))
    layout = XdfLayout()
    try:
        while (length := _length(file)) is not None:
            end = file.tell() + length
            (tag,) = struct.unpack("<H", file.read(2))
            if tag not in _TAGS or end > size_bytes:
                layout.cut_off = True
                break
            if tag == _FILE_HEADER:
                root = _xml(file.read(length - 2))
                layout.start_text = (root.findtext("datetime") or "").strip()
            elif tag == _STREAM_HEADER:
                (stream_id,) = struct.unpack("<I", file.read(4))
                layout.streams.append(_stream(stream_id, _xml(file.read(length - 6))))
            layout.whole_bytes = file.seek(end)
    except struct.error:
        layout.cut_off = True
    except (ElementTree.ParseError, ValueError) as error:
        refuse(path, f"damaged XDF header: {error}", "Copy the file again", cause=error)
    return layout


def _length(file: io.BufferedIOBase) -> int | None:
    """Return the length of the next chunk, None at the end of the file."""
    width = file.read(1)
    if not width:
        return None
    layout = {1: "<B", 4: "<I", 8: "<Q"}.get(width[0])
    if layout is None:
        raise struct.error("no width of a length")
    (length,) = struct.unpack(layout, file.read(width[0]))
    if length < 2:
        raise struct.error("a chunk without a tag")
    return int(length)


def _xml(content: bytes) -> ElementTree.Element:
    # expat limits entity expansion, and pyxdf parses the same text in the same way
    return ElementTree.fromstring(content.decode("utf-8", "replace"))  # noqa: S314


def _stream(stream_id: int, root: ElementTree.Element) -> XdfStream:
    n_channels = int(root.findtext("channel_count") or 0)
    if not 0 <= n_channels <= 100_000:
        raise ValueError(f"{n_channels} channels")
    described = root.findall("desc/channels/channel")[:n_channels]
    described += [ElementTree.Element("channel")] * (n_channels - len(described))
    return XdfStream(
        stream_id=stream_id,
        name=(root.findtext("name") or "").strip(),
        type=(root.findtext("type") or "").strip(),
        rate_hz=float(root.findtext("nominal_srate") or 0),
        numeric=(root.findtext("channel_format") or "").strip() != "string",
        labels=tuple(
            (channel.findtext("label") or "").strip() or str(number)
            for number, channel in enumerate(described, 1)
        ),
        units=tuple((channel.findtext("unit") or "").strip() for channel in described),
        simulated=(root.findtext("desc/acquisition/simulated") or "").strip() == "true",
    )


def read_start(layout: XdfLayout) -> tuple[float | None, tuple[str, ...]]:
    """Return the Unix time of the file header, None when it has none, and the sentence on it."""
    for pattern in ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S"):
        try:
            start = datetime.strptime(layout.start_text, pattern)
        except ValueError:
            continue
        zone = "" if start.tzinfo else ", taken as UTC"
        start = start if start.tzinfo else start.replace(tzinfo=timezone.utc)
        said = (
            f"start {layout.start_text} is the file's{zone}; the stream began up to seconds later"
        )
        return start.timestamp(), (said,)
    return None, ("the file has no start date, so results carry no wall-clock time",)
