"""``episodes.jsonl``: one JSON object a line for each episode of a facial expression, once over.

The fields, always all of them and in this order: ``task``, ``stream``, ``label`` (the facial
expression), ``start``, ``end``, ``peak`` (ISO 8601 UTC), ``start_s``, ``end_s``, ``peak_s``
(as ``time_s`` of a prediction), ``duration_s``, ``peak_probability``, ``enter_probability``,
``leave_probability``, ``min_duration_s`` (what made it one), ``model``, ``simulated``.

An episode that is open when the program is killed is lost here, not in ``predictions.jsonl``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_app.contracts import Prediction
from edge_app.errors import SinkError
from edge_app.expression_episodes import Episode, EpisodeFinder
from edge_app.expression_shares import LONGEST_STEP_S
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import EpisodeSpec, FaceConditioning
from edge_app.sinks.files import LineFile
from edge_app.sinks.jsonl import iso_utc

EPISODES_FILE = "episodes.jsonl"


def episode_specs(bundle: Bundle) -> tuple[EpisodeSpec, ...]:
    """Return which expressions a bundle tells the episodes of; none where it is not for faces."""
    conditioning = bundle.manifest.conditioning
    return conditioning.episodes if isinstance(conditioning, FaceConditioning) else ()


@dataclass(slots=True)
class _Heard:
    """What was last said on a stream.

    Attributes:
        origin_unix_s: Unix time of the stream's time 0.
        model: bundle name and hash.
        simulated: whether nobody stands behind it.
        person: whose face is followed, by number.
    """

    origin_unix_s: float
    model: str
    simulated: bool
    person: float


class EpisodeSink:
    """Finds episodes in the predictions as they come and appends each to a file when it is over.

    Args:
        path: the file; made when missing, never shortened.
        specs: what counts as an episode, by stream.

    Raises:
        SinkError: the file cannot be opened.
    """

    def __init__(self, path: Path, specs: Mapping[str, tuple[EpisodeSpec, ...]]) -> None:
        self._lines = LineFile(path)
        self._finders = {
            stream: [(spec, EpisodeFinder(spec, longest_gap_s=LONGEST_STEP_S)) for spec in of_it]
            for stream, of_it in specs.items()
        }
        self._heard: dict[str, _Heard] = {}

    def emit(self, prediction: Prediction, unix_s: float) -> None:
        """Take a prediction; write what it ends, see ``Sink.emit``."""
        stream = prediction.stream
        finders = self._finders.get(stream)
        if not finders:
            return
        probabilities = dict(prediction.probabilities)
        before = self._heard.get(stream)
        self._heard[stream] = now = _Heard(
            unix_s - prediction.time_s,
            prediction.model,
            prediction.simulated,
            dict(prediction.evidence).get("person", 0.0),
        )
        before = before or now
        told = []
        for spec, finder in finders:
            left = finder.close() if now.person != before.person else None
            ended = finder.add(prediction.time_s, probabilities.get(spec.label)) or left
            if ended is not None:
                told.append(_to_json(stream, ended, spec, before))
        if told:
            self._lines.append("\n".join(told))

    def close(self) -> None:
        """End what is open, write what is held and close the file; may be called twice."""
        for stream, finders in self._finders.items():
            for spec, finder in finders:
                ended = finder.close()
                if ended is not None:
                    with suppress(SinkError):  # held, and told below if it stays unwritten
                        self._lines.append(_to_json(stream, ended, spec, self._heard[stream]))
        self._lines.close()


def _to_json(stream: str, episode: Episode, spec: EpisodeSpec, heard: _Heard) -> str:
    times_s = {"start": episode.start_s, "end": episode.end_s, "peak": episode.peak_s}
    return json.dumps(
        {
            "task": "emotion",
            "stream": stream,
            "label": episode.label,
            **{name: iso_utc(heard.origin_unix_s + at_s) for name, at_s in times_s.items()},
            **{f"{name}_s": round(at_s, 6) for name, at_s in times_s.items()},
            "duration_s": round(episode.duration_s, 6),
            "peak_probability": round(episode.peak_probability, 6),
            "enter_probability": spec.enter_probability,
            "leave_probability": spec.leave_probability,
            "min_duration_s": spec.min_duration_s,
            "model": heard.model,
            "simulated": heard.simulated,
        },
        allow_nan=False,
    )
