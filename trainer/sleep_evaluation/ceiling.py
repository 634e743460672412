"""How far human scorers agree with each other: DOD-H, 25 nights, each scored by five experts.

Another population and another way of scoring than Sleep-EDF (one scorer, R&K): guidance, no pass
mark. A model above it has fitted one scorer's habits.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer import metrics
from trainer.datasets.sleep_stages import STAGES
from trainer.metrics import IGNORE
from trainer.sleep_evaluation.agreement import SHORT, headline, per_class

FILE = "dodh_scorers.json"
POPULATION = "DOD-H: 25 other nights, five AASM scorers; guidance, no pass mark"


def ceiling_beside(data: Path) -> dict[str, Any] | None:
    """Return the human ceiling where the scorers' file lies in a data folder or beside its files.

    Args:
        data: what ``--data`` names: looked for in it, in its ``sleep`` folder, and one above.

    Returns:
        As ``human_ceiling``, None where there is no such file.

    Raises:
        DatasetError: a file of another layout.
    """
    folder = data if data.is_dir() else data.parent
    places = (folder / FILE, folder / "sleep" / FILE, folder.parent / FILE)
    path = next((place for place in places if place.is_file()), None)
    return None if path is None else human_ceiling(path)


def human_ceiling(path: Path) -> dict[str, Any]:
    """Return how far five scorers of the same nights agree.

    Args:
        path: ``{scorer: {night: [stage of each epoch, -1 where not scored]}}``.

    Returns:
        Plain JSON values: ``pairwise_kappa`` (mean, low, high over the pairs, each pooled over
        nights) and ``one_against_others``: means over scorers of accuracy, kappa, macro_f1 and
        per-class F1 of one against the majority of the others, ties dropped, with ``range`` of
        the first three; n is the mean number of epochs.

    Raises:
        DatasetError: no such file, or one of another layout.

    Source: Guillot et al. 2020, doi 10.1109/TNSRE.2020.3011181, the scorings.
    """
    scorings = _scorings(path)
    n_scorers = len(scorings)
    pairs = [_kappa_between(scorings[a], scorings[b]) for a, b in combinations(range(n_scorers), 2)]
    against = [_against_majority(scorings, scorer) for scorer in range(n_scorers)]
    heads = [headline(counts) for counts in against]
    classes = [per_class(counts) for counts in against]
    return {
        "population": POPULATION,
        "scorers": n_scorers,
        "epochs": scorings.shape[1],
        "pairwise_kappa": {
            "mean": float(np.mean(pairs)),
            "low": float(min(pairs)),
            "high": float(max(pairs)),
        },
        "one_against_others": {
            "n": float(np.mean([counts.sum() for counts in against])),
            **{name: float(np.mean([head[name] for head in heads])) for name in SHORT},
            "f1": {s: float(np.mean([row[s]["f1"] for row in classes])) for s in STAGES},
            "range": {
                name: [min(head[name] for head in heads), max(head[name] for head in heads)]
                for name in SHORT
            },
        },
    }


def _scorings(path: Path) -> npt.NDArray[np.int64]:
    """Return (n_scorers, n_epochs) stages, all nights in a row."""
    try:
        stored = json.loads(path.read_bytes())
        scorers = sorted(stored)
        nights = sorted(stored[scorers[0]])
        whole = np.array([np.concatenate([stored[s][n] for n in nights]) for s in scorers])
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _refusal(path, f"cannot be read: {error!r}") from error
    known = np.isin(whole, (IGNORE, *range(len(STAGES)))).all()
    if len(scorers) < 3 or not known or not np.issubdtype(whole.dtype, np.integer):
        raise _refusal(path, f"holds {len(scorers)} scorers, stages {np.unique(whole)[:9]}")
    return whole.astype(np.int64)


def _refusal(path: Path, problem: str) -> DatasetError:
    return DatasetError(
        problem,
        source=str(path),
        expected="{scorer: {night: [stage -1 to 4 of each epoch]}}, at least three scorers of the"
        " same nights",
        next_step=f"Fetch {FILE} again",
    )


def _kappa_between(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> float:
    both = (one != IGNORE) & (other != IGNORE)
    return metrics.cohen_kappa(metrics.confusion_matrix(one[both], other[both], len(STAGES)))


def _against_majority(scorings: npt.NDArray[np.int64], scorer: int) -> npt.NDArray[np.int64]:
    """Return the confusion of one scorer with the most frequent stage of the others."""
    others = np.delete(scorings, scorer, axis=0)
    votes = np.stack([(others == stage).sum(axis=0) for stage in range(len(STAGES))])
    most = votes.max(axis=0)
    agreed = ((votes == most).sum(axis=0) == 1) & (scorings[scorer] != IGNORE)
    return metrics.confusion_matrix(
        votes.argmax(axis=0)[agreed], scorings[scorer][agreed], len(STAGES)
    )
