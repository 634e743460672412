"""A person's own resting face: what the model says of it, and how an answer differs from that.

Faces at rest differ: one that moves little, as with Parkinson's disease (hypomimia), or one that
hangs with age may be called ``sad`` or ``neutral`` all day. The change from the person's own rest
says how much more of an expression is seen than when that person does nothing. It does not say
what the person feels, nor whether the resting face itself is out of the ordinary: whoever was
frowning while the baseline was collected will seem to smile afterwards. The probabilities and the
label are left as the model gives them: dividing them by those at rest would make a resting face
all expressions alike, and nobody knows what the model ought to say of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.errors import ContractError
from edge_app.rolling import Evidence, log_odds

_ROUNDING_S = 1e-6


class RestingBaseline:
    """Averages the log-probabilities of the first seconds of usable face, then stays as it is.

    Args:
        needed_s: seconds of usable face, positive.
        labels: the model's.
        model: name and hash of the model: another one is a different measure.
    """

    def __init__(self, needed_s: float, labels: tuple[str, ...], model: str) -> None:
        self.needed_s = needed_s
        self._labels = labels
        self._model = model
        self._seen = Evidence()
        self._rest: Float64Array | None = None

    @property
    def collected_s(self) -> float:
        """Seconds of usable face so far, never more than needed."""
        return self._seen.seconds_s

    @property
    def complete(self) -> bool:
        """Whether enough was seen."""
        return self._seen.seconds_s >= self.needed_s - _ROUNDING_S

    def add(self, probabilities: Float64Array, seconds_s: float) -> None:
        """Take an answer on a usable face; does nothing once complete.

        Args:
            probabilities: (n_labels,) of one frame, summing to 1.
            seconds_s: the time it speaks for; 0 adds nothing.
        """
        if seconds_s > 0.0 and not self.complete:
            lacking_s = self.needed_s - self._seen.seconds_s
            self._rest = self._seen.add(probabilities, min(seconds_s, lacking_s))

    def evidence(self, probabilities: Float64Array | None) -> list[tuple[str, float]]:
        """Return what is known as ``Prediction.evidence`` names it.

        Args:
            probabilities: (n_labels,) now, smoothed; None: no usable face.

        Returns:
            ``baseline_s``, seconds collected; once complete also ``change_<label>``, the log-odds
            of the expression now less those at rest (natural logarithm; 0: as at rest).
        """
        told = [("baseline_s", self._seen.seconds_s)]
        if self.complete and self._rest is not None and probabilities is not None:
            changes = log_odds(probabilities) - log_odds(self._rest)
            told += [
                (f"change_{label}", float(change))
                for label, change in zip(self._labels, changes, strict=True)
            ]
        return told

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values, for ``restore``."""
        rest = None if self._rest is None else self._rest.tolist()
        return {
            "model": self._model,
            "labels": list(self._labels),
            "collected_s": self._seen.seconds_s,
            "rest": rest,
        }

    def restore(self, stored: Mapping[str, Any], age_s: float) -> None:  # noqa: ARG002 - see below
        """Go on from what ``as_dict`` returned.

        Args:
            stored: from an earlier run of the program.
            age_s: how long ago that was; a resting face does not fade.

        Raises:
            ContractError: collected with another model, or not what ``as_dict`` returns.
        """
        if stored["model"] != self._model or tuple(stored["labels"]) != self._labels:
            raise ContractError(
                "the resting baseline was collected with another model",
                expected=self._model,
                got=stored["model"],
                next_step="Collect it anew: name another file in person.file",
            )
        collected_s = float(stored["collected_s"])
        rest = np.asarray(stored["rest"] or [], np.float64)
        good = rest.shape == (len(self._labels),) and bool(np.all(rest >= 0.0))
        good = good and math.isclose(float(rest.sum()), 1.0, abs_tol=1e-6)
        if not (collected_s == 0.0 or (good and 0.0 < collected_s < math.inf)):
            raise ContractError(
                "the resting baseline is damaged",
                expected="seconds and one probability a label",
                got=f"{collected_s} s, {rest.tolist()}",
                next_step="Collect it anew: name another file in person.file",
            )
        if collected_s > 0.0:
            self._seen = Evidence()
            self._rest = self._seen.add(rest, min(collected_s, self.needed_s))
