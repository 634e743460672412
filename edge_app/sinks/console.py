"""The live view in a terminal: one row a stream, answer, bars, truth of simulations, health."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge_app.clock import Clock
from edge_app.contracts import Prediction, StreamInfo
from edge_app.health import StreamHealth
from edge_app.sources.protocol import Source

PLAIN_EVERY_S = 10.0
"""Where the output is no terminal, one line a stream this often."""
_BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class Seen:
    """What has been said on one stream.

    Attributes:
        newest: the newest statement about the newest window.
        labels: how often each label was final.
        reasons: how often each reason for abstaining was final.
        compared: final labels that could be held against a simulation's truth.
        agreed: how many of them were right.
    """

    newest: Prediction | None = None
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    agreed: int = 0


class ConsoleSink:
    """Shows predictions as they come.

    Args:
        healths: the streams' health; may still be filled after construction.
        clock: for the age of the newest data.
        console: where to show; None: standard output.
    """

    def __init__(
        self, healths: list[StreamHealth], clock: Clock, console: Console | None = None
    ) -> None:
        self._healths = healths
        self._clock = clock
        self._console = console or Console()
        self._sources: dict[str, tuple[StreamInfo, Source]] = {}
        self.seen: dict[str, Seen] = {}
        self._live: Live | None = None
        self._lock = threading.Lock()
        self._next_plain_s = time.monotonic() + PLAIN_EVERY_S

    def watch(self, info: StreamInfo, source: Source) -> None:
        """Learn what a stream is, when it opens."""
        with self._lock:
            self._sources[info.name] = (info, source)

    def start(self) -> None:
        """Begin the live view, if this is a terminal."""
        if self._console.is_terminal and self._live is None:
            self._live = Live(
                get_renderable=self.render, console=self._console, refresh_per_second=4
            )
            self._live.start()

    def emit(self, prediction: Prediction, unix_s: float) -> None:  # noqa: ARG002 - Sink's shape
        """Take one prediction."""
        with self._lock:
            seen = self.seen.setdefault(prediction.stream, Seen())
            newest = seen.newest
            if newest is None or prediction.start_s >= newest.start_s:
                seen.newest = prediction
            if prediction.final:
                self._count(seen, prediction)
        if self._live is None and time.monotonic() >= self._next_plain_s:
            self._next_plain_s = time.monotonic() + PLAIN_EVERY_S
            for line in self._plain_lines():
                self._console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        """End the live view, leaving its last state; may be called twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _count(self, seen: Seen, prediction: Prediction) -> None:
        if prediction.label is None:
            seen.reasons[prediction.abstained.value if prediction.abstained else ""] += 1
            return
        seen.labels[prediction.label] += 1
        truth = self._truth(prediction)
        if truth is not None:
            seen.compared += 1
            seen.agreed += truth == prediction.label

    def _truth(self, prediction: Prediction) -> str | None:
        watched = self._sources.get(prediction.stream)
        if watched is None:
            return None
        return watched[1].truth_at((prediction.start_s + prediction.end_s) / 2.0)

    def render(self) -> RenderableType:
        """Return the whole view."""
        table = Table(expand=True, title="Bedside: not a medical device", title_justify="left")
        for heading in ("stream", "answer", "probabilities", "truth (simulated)", "state"):
            table.add_column(heading)
        simulated = False
        with self._lock:
            for health in self._healths:
                watched = self._sources.get(health.stream)
                simulated = simulated or (watched is not None and watched[0].simulated)
                table.add_row(*self._row(health))
        note = "SIMULATED sensors: no patient stands behind these answers. " if simulated else ""
        return Group(table, Text(f"{note}Ctrl-C stops.", style="dim"))

    def _row(self, health: StreamHealth) -> list[RenderableType]:
        watched, seen = self._sources.get(health.stream), self.seen.get(health.stream)
        name = Text(health.stream, style="bold")
        if watched is not None:
            what = "SIMULATED " if watched[0].simulated else ""
            name.append(f"\n{what}{watched[0].kind} {watched[0].rate_hz:g} Hz", style="dim")
        if seen is None or seen.newest is None:
            waiting = "waiting for the first window" if health.state == "running" else ""
            return [name, Text(waiting, style="dim"), "", "", self._state(health)]
        newest = seen.newest
        truth = self._truth(newest) or ""
        agreement = f"\nagrees {seen.agreed} of {seen.compared}" if seen.compared else ""
        return [name, _answer(newest), _bars(newest), Text(truth + agreement), self._state(health)]

    def _state(self, health: StreamHealth) -> Text:
        style = {"running": "green", "waiting": "yellow", "failed": "red"}.get(health.state, "")
        text = Text(health.state, style=style)
        if health.latency_s is not None:
            text.append(f", {1000 * health.latency_s:.0f} ms old", style="dim")
        counts = (
            ("gaps", health.gaps),
            ("dropped", health.dropped),
            ("restarts", health.restarts),
        )
        shown = [f"{count} {what}" for what, count in counts if count]
        text.append("\n" + ", ".join(shown) if shown else "", style="dim")
        if health.last_error and health.state != "running":
            text.append(f"\n{health.last_error}", style="red")
        return text

    def _plain_lines(self) -> list[str]:
        lines = []
        with self._lock:
            for health in self._healths:
                seen = self.seen.get(health.stream)
                newest = seen.newest if seen else None
                watched = self._sources.get(health.stream)
                tag = " (SIMULATED)" if watched is not None and watched[0].simulated else ""
                said = "waiting for the first window" if newest is None else _answer(newest).plain
                truth = self._truth(newest) if newest is not None else None
                beside = f"; truth {truth}" if truth else ""
                said = " ".join(said.split())
                lines.append(f"{health.stream}{tag}: {said}{beside} [{health.state}]")
        return lines


def _answer(prediction: Prediction) -> Text:
    if prediction.label is None:
        reason = prediction.abstained.value if prediction.abstained else ""
        return Text(f"unknown\n{reason.replace('_', ' ')}", style="yellow")
    text = Text(prediction.label, style="bold green")
    sureness = prediction.confidence or 0.0
    stage = "" if prediction.final else ", provisional"
    text.append(f"\n{100 * sureness:.0f} %{stage}", style="dim")
    return text


def _bars(prediction: Prediction) -> Text:
    text = Text()
    for label, probability in prediction.probabilities:
        block = _BLOCKS[round(probability * (len(_BLOCKS) - 1))]
        text.append(f"{block} ", style="cyan")
        text.append(f"{label}  ", style="bold" if label == prediction.label else "dim")
    return text
