"""The live view in a terminal: one row a stream, answer, bars, truth of simulations, health."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge_app.clock import Clock
from edge_app.contracts import Prediction, StreamInfo
from edge_app.health import StreamHealth
from edge_app.sinks.expression_lines import last_minute
from edge_app.sinks.steady_console import SteadyConsole
from edge_app.sources.protocol import Source

logger = logging.getLogger(__name__)

FIRST_PLAIN_S = 1.0
PLAIN_EVERY_S = 10.0
"""Where the output is no terminal, one line a stream this often, the first after a second."""
STALE_AFTER_S = 3.0
STALE_AFTER_WINDOWS = 2.0
"""An answer is about the present while data is this fresh, and answers come: so many windows."""
SHOWN_LABELS = 3
BAR_WIDTH = 10


@dataclass(slots=True)
class Seen:
    """What has been said on one stream.

    Attributes:
        newest: the newest statement about the newest window since the stream was last opened.
        said_s: clock time at which it was made.
        labels: how often each label was final.
        reasons: how often each reason for abstaining was final.
        compared: final labels that could be held against a simulation's truth.
        agreed: how many of them were right.
    """

    newest: Prediction | None = None
    said_s: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    agreed: int = 0


class ConsoleSink:
    """Shows predictions as they come: a live view in a terminal, elsewhere a line a stream.

    Whoever emits only leaves the prediction here: a terminal that is slow, or gone, never holds a
    stream up.

    Args:
        healths: the streams' health; may still be filled after construction.
        clock: for the age of the newest data.
        console: where to show; None: standard output.
    """

    def __init__(
        self, healths: list[StreamHealth], clock: Clock, console: SteadyConsole | None = None
    ) -> None:
        self._healths = healths
        self._clock = clock
        self._console = console or SteadyConsole()
        self._sources: dict[str, tuple[StreamInfo, Source]] = {}
        self.seen: dict[str, Seen] = {}
        self._live: Live | None = None
        self._lock = threading.Lock()
        self._next_plain_s = time.monotonic() + FIRST_PLAIN_S

    def watch(self, info: StreamInfo, source: Source) -> None:
        """Learn what a stream is, when it opens; what it said before is no longer the present."""
        with self._lock:
            self._sources[info.name] = (info, source)
            self.seen.setdefault(info.name, Seen()).newest = None

    def start(self) -> None:
        """Begin the live view, if this is a terminal."""
        if self._console.is_terminal and self._live is None:
            self._live = Live(
                get_renderable=self.render,
                console=self._console,
                refresh_per_second=4,
                transient=True,  # the summary takes its place
            )
            self._live.start()

    def emit(self, prediction: Prediction, unix_s: float) -> None:  # noqa: ARG002 - Sink's shape
        """Take one prediction."""
        with self._lock:
            seen = self.seen.setdefault(prediction.stream, Seen())
            if _follows(prediction, seen.newest):
                seen.newest, seen.said_s = prediction, self._clock.now_s()
            if prediction.final:
                self._count(seen, prediction)

    def refresh(self) -> None:
        """Print the plain lines when they are due; for the main thread, as often as it likes."""
        if self._live is not None or time.monotonic() < self._next_plain_s:
            return
        self._next_plain_s = time.monotonic() + PLAIN_EVERY_S
        if self._console.would_block:
            return
        lines = "\n".join(self._plain_lines())
        try:
            self._console.print(lines, markup=False, highlight=False, soft_wrap=True)
        except OSError as error:  # standard output may be a file on a full disk
            self._console.on_broken_pipe()
            logger.error("the console falls silent: %s", error.strerror or error)

    def close(self) -> None:
        """End the live view; may be called twice."""
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
        with self._lock:
            simulated = any(info.simulated for info, _ in self._sources.values())
            rows = [self._row(health) for health in self._healths]
        headings = ["stream", "answer", "most likely", "truth", "state"]
        shown = [k for k, heading in enumerate(headings) if heading != "truth" or simulated]
        for k in shown:
            table.add_column(headings[k], no_wrap=headings[k] == "most likely")
        for row in rows:
            table.add_row(*(row[k] for k in shown))
        note = "SIMULATED sensors: no patient stands behind these answers. " if simulated else ""
        return Group(table, Text(f"{note}Ctrl-C stops.", style="dim"))

    def _row(self, health: StreamHealth) -> list[RenderableType]:
        watched, seen = self._sources.get(health.stream), self.seen.get(health.stream)
        name = Text(health.stream, style="bold")
        if watched is not None:
            what = "SIMULATED " if watched[0].simulated else ""
            name.append(f"\n{what}{watched[0].kind} {watched[0].rate_hz:g} Hz", style="dim")
        name.append(f"\n{health.backend}" if health.backend else "", style="dim")
        if seen is None or seen.newest is None:
            waiting = "waiting for the first window" if health.state == "running" else "no data"
            return [name, Text(waiting, style="dim"), "", "", self._state(health)]
        newest, unknown = seen.newest, self._unknown(health, seen)
        if unknown:
            return [name, _unknown_answer(unknown), "", "", self._state(health)]
        truth = self._truth(newest) or ""
        agreement = f"\nagrees {seen.agreed} of {seen.compared}" if seen.compared else ""
        return [name, _answer(newest), _bars(newest), Text(truth + agreement), self._state(health)]

    def _state(self, health: StreamHealth) -> Text:
        style = {"running": "green", "waiting": "yellow", "failed": "red"}.get(health.state, "")
        text = Text(health.state, style=style)
        age_s = self._age_s(health)
        if age_s is not None:
            text.append(f"\ndata {age_s:.1f} s old", style="dim")
        counts = (
            ("gaps", health.windowing.gaps),
            ("dropped", health.dropped),
            ("restarts", health.restarts),
        )
        shown = [f"{count} {what}" for what, count in counts if count]
        text.append("\n" + ", ".join(shown) if shown else "", style="dim")
        if health.trouble:
            text.append(f"\n{health.trouble}", style="yellow")
        if health.last_error and health.state != "running":
            text.append(f"\n{health.last_error}", style="red")
        return text

    def _age_s(self, health: StreamHealth) -> float | None:
        """Return how long ago data last came; None for a recording."""
        came_s = health.last_data_s
        return None if came_s is None else max(0.0, self._clock.now_s() - came_s)

    def _unknown(self, health: StreamHealth, seen: Seen) -> str:
        """Return why the newest answer is not about the present; empty when it is."""
        age_s = self._age_s(health)
        if health.state != "running":
            return "no data" if age_s is None else f"no data for {age_s:.0f} s"
        if age_s is None or seen.newest is None:
            return ""
        if age_s > STALE_AFTER_S:
            return f"no data for {age_s:.0f} s"
        window_s = seen.newest.end_s - seen.newest.start_s
        limit_s = max(STALE_AFTER_S, STALE_AFTER_WINDOWS * window_s)
        silent_s = self._clock.now_s() - seen.said_s
        return f"no answer for {silent_s:.0f} s" if silent_s > limit_s else ""

    def _plain_lines(self) -> list[str]:
        with self._lock:
            return [self._plain_line(health) for health in self._healths]

    def _plain_line(self, health: StreamHealth) -> str:
        seen, watched = self.seen.get(health.stream), self._sources.get(health.stream)
        tag = " (SIMULATED)" if watched is not None and watched[0].simulated else ""
        beside = ""
        if seen is None or seen.newest is None:
            running = health.state == "running"
            said = "waiting for the first window" if running else "unknown, no data"
        elif unknown := self._unknown(health, seen):
            said = f"unknown, {unknown}"
        else:
            said = " ".join(_answer(seen.newest).plain.split())
            truth = self._truth(seen.newest)
            beside = "".join(f"; {line}" for line in last_minute(seen.newest))
            beside += f"; truth {truth}" if truth else ""
        state = "; ".join(filter(None, (health.state, health.backend, health.trouble)))
        return f"{health.stream}{tag}: {said}{beside} [{state}]"


def _follows(prediction: Prediction, newest: Prediction | None) -> bool:
    """Tell a statement about a newer window, or after a jump back, from one on an older window."""
    return (
        newest is None or prediction.start_s >= newest.start_s or prediction.time_s < newest.time_s
    )


def _unknown_answer(reason: str) -> Text:
    return Text(f"unknown\n{reason}", style="yellow")


def _answer(prediction: Prediction) -> Text:
    if prediction.label is None:
        reason = prediction.abstained.value if prediction.abstained else ""
        return _unknown_answer(reason.replace("_", " "))
    text = Text(prediction.label, style="bold green")
    sureness = prediction.confidence or 0.0
    stage = "" if prediction.final else ", provisional"
    text.append(f"\n{100 * sureness:.0f} %{stage}", style="dim")
    return text


def _bars(prediction: Prediction) -> Text:
    """Draw the largest probabilities, one a line, and a face's last minute below."""
    ranked = sorted(prediction.probabilities, key=lambda pair: -pair[1])[:SHOWN_LABELS]
    text = Text()
    for label, probability in ranked:
        text.append(f"{label:<9}", style="bold" if label == prediction.label else "dim")
        text.append(f"{'█' * round(probability * BAR_WIDTH):<{BAR_WIDTH}}", style="cyan")
        text.append(f"{100 * probability:4.0f} %\n", style="dim")
    text.append("\n".join(last_minute(prediction)), style="dim")
    text.rstrip()
    return text
