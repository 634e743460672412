"""Episodes: stretches of time in which one facial expression was clearly shown.

A hint for who looks through a night later, never an alarm. The thresholds stand in the bundle's
manifest and were chosen on validation pictures for a stated share of right ones (PPV).
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_app.inference.manifest import EpisodeSpec

_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode, over.

    Args:
        label: the facial expression.
        start_s: when its probability first reached the entering level.
        end_s: when it was last seen at or above the leaving level.
        peak_probability: the largest, smoothed as the rolling answer is.
        peak_s: when that was.
    """

    label: str
    start_s: float
    end_s: float
    peak_probability: float
    peak_s: float

    @property
    def duration_s(self) -> float:
        """From start to end."""
        return self.end_s - self.start_s


class EpisodeFinder:
    """Finds the episodes of one expression as its answers come; holds one open episode at most.

    Args:
        spec: its label, levels and least duration.
        longest_gap_s: an episode goes on over so long a time without a usable face; over a longer
            one it ends where the face was last seen.
    """

    def __init__(self, spec: EpisodeSpec, *, longest_gap_s: float) -> None:
        self._spec = spec
        self._longest_gap_s = longest_gap_s
        self._open: Episode | None = None

    def add(self, time_s: float, probability: float | None) -> Episode | None:
        """Take an answer, return the episode that it ends, if any.

        Args:
            time_s: its time.
            probability: of the expression, smoothed; None: no usable face.

        Returns:
            An episode of at least the least duration, or None.
        """
        ended, spec = None, self._spec
        if self._open is not None and not 0.0 <= time_s - self._open.end_s <= self._longest_gap_s:
            ended = self.close()
        if probability is None:
            return ended
        if self._open is not None and probability < spec.leave_probability:
            return self.close()
        if self._open is not None:
            self._open = _longer(self._open, time_s, probability)
        elif probability >= spec.enter_probability:
            self._open = Episode(spec.label, time_s, time_s, probability, time_s)
        return ended

    def close(self) -> Episode | None:
        """End the open episode; return it if it was long enough."""
        episode, self._open = self._open, None
        if episode is None or episode.duration_s < self._spec.min_duration_s - _ROUNDING_S:
            return None
        return episode


def _longer(episode: Episode, time_s: float, probability: float) -> Episode:
    """Return an episode that lasts until now."""
    higher = probability > episode.peak_probability
    return Episode(
        episode.label,
        episode.start_s,
        time_s,
        probability if higher else episode.peak_probability,
        time_s if higher else episode.peak_s,
    )
