"""Score a sleep bundle on raw recordings and the expert's hypnograms, as the bedside runs it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_app.errors import ConfigError
from edge_app.inference.bundle import Bundle
from trainer.datasets.sleep_edf_names import find_pairs
from trainer.datasets.sleep_stages import STAGES
from trainer.sleep_evaluation.bedside import ask_bedside, within_half_an_hour_of_sleep
from trainer.sleep_evaluation.ceiling import ceiling_beside
from trainer.sleep_evaluation.expert import SignalOptions, expert_stages
from trainer.sleep_evaluation.figures import Nights, sleep_figures
from trainer.sleep_evaluation.learnt import learnt_remarks
from trainer.sleep_evaluation.night_answers import NightAnswers

_SLEEP_EDF = re.compile(r"^(SC4(\d\d)\d[A-Z]\d)-PSG\.edf$", re.IGNORECASE)
_TRIMMED = (
    "Nights of Sleep-EDF are scored from 30 min before sleep to 30 min after it, as papers do;"
    " whole recordings are mostly waking, which flatters."
)

FEW_EPOCHS = 200
"""Under these a remark is made: 1 h 40 min."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ScoredNight:
    """A recording and its hypnogram.

    Args:
        name: of the night.
        subject: who slept.
        recording: EDF, BDF or XDF.
        hypnogram: the expert's stages.
        published: whether it is a night of Sleep-EDF, by its name: about 20 h, mostly awake.
    """

    name: str
    subject: str
    recording: Path
    hypnogram: Path
    published: bool


def find_nights(data: Path, hypnogram: Path | None) -> tuple[ScoredNight, ...]:
    """Return what to score.

    Args:
        data: a recording, or a folder of pairs in the layout of Sleep-EDF.
        hypnogram: of a single recording; None for a folder.

    Returns:
        The nights by name.

    Raises:
        ConfigError: a recording without hypnogram, or a folder or an archive with one.
        DatasetError: a folder with files that have no partner.
    """
    if data.suffix.lower() == ".npz":
        raise ConfigError(
            "an archive has its own labels",
            source=str(data),
            got=f"--hypnogram {hypnogram}",
            next_step="Leave --hypnogram out",
        )
    if data.is_dir() == (hypnogram is not None):
        raise ConfigError(
            "one recording needs one hypnogram, and a folder of pairs needs none",
            source=str(data),
            expected="--data PSG.edf --hypnogram FILE, or --data FOLDER",
            got="a folder and --hypnogram" if hypnogram else "a recording without --hypnogram",
            next_step="Name the expert's stages with --hypnogram (the same file again where"
            " it is an EDF+ that carries them as annotations), or a folder of pairs alone",
        )
    if hypnogram is None:
        return tuple(
            ScoredNight(pair.name, pair.subject, pair.psg, pair.hypnogram, published=True)
            for pair in find_pairs(data)
        )
    known = _SLEEP_EDF.match(data.name)
    if known:
        return (ScoredNight(known[1].upper(), known[2], data, hypnogram, published=True),)
    return (ScoredNight(data.stem, data.stem, data, hypnogram, published=False),)


def evaluate_recordings(
    bundle: Bundle,
    shipped: dict[str, Any],
    data: Path,
    hypnogram: Path | None,
    options: SignalOptions,
    progress: Progress = lambda _: None,
) -> tuple[dict[str, Any], Nights]:
    """Score a bundle on raw recordings.

    Args:
        bundle: of the task sleep.
        shipped: the bundle's own ``metrics.json``.
        data: a recording, or a folder of pairs in the layout of Sleep-EDF.
        hypnogram: of a single recording; None for a folder.
        options: what the user says about them.
        progress: told the night that is played.

    Returns:
        Plain JSON values, and the nights by delay. Figures are those of ``sleep_figures``, with
        ``assumptions`` by night and ``notes``. Nights of Sleep-EDF are scored from 30 min before
        sleep to 30 min after it, as papers do; ``subsets`` holds the whole recordings.

    Raises:
        ConfigError: not a sleep bundle, or a stream that does not fit it.
        DatasetError: a hypnogram that is missing, damaged or of another length.
        SourceError: a recording that cannot be read.
    """
    _refuse_other_task(bundle)
    whole: dict[int, list[NightAnswers]] = {}
    scored: dict[int, list[NightAnswers]] = {}
    notes: dict[str, list[str]] = {}
    simulated = False
    files = find_nights(data, hypnogram)
    for night in files:
        progress(night.name)
        expert = expert_stages(
            night.recording, night.hypnogram, options, may_end_early=night.published
        )
        said = ask_bedside(bundle, night.recording, options)
        simulated |= expert.simulated
        notes[night.name] = list(dict.fromkeys((*expert.notes, *said.assumptions)))
        for delay, answers in said.nights(night.name, night.subject, expert.stages).items():
            whole.setdefault(delay, []).append(answers)
            cut = within_half_an_hour_of_sleep(answers) if night.published else answers
            scored.setdefault(delay, []).append(cut)
    # Simulated nights are no people: neither human scorers nor those learnt from speak of them.
    figures = sleep_figures(scored, ceiling=None if simulated else ceiling_beside(data))
    published = [night.subject for night in files if night.published]
    others = simulated and not bundle.manifest.simulated
    remarks = learnt_remarks(shipped, [] if others else published)
    if published:
        remarks["notes"].append(_TRIMMED)
    remarks["notes"].extend(_few(figures))
    return {
        "task": bundle.manifest.task,
        "bundle": bundle.manifest.name,
        "data": f"{'SIMULATED ' if simulated else ''}{data.name}, played as at the bedside",
        "groups": figures["subjects"],
        "trained_on_simulated_data": bundle.manifest.simulated,
        "data_simulated": simulated,
        **figures,
        **remarks,
        "notes": [*remarks["notes"], *_told(notes)],
        "assumptions": notes,
        "subsets": {"whole_recordings": sleep_figures(whole)} if published else {},
    }, scored


def _refuse_other_task(bundle: Bundle) -> None:
    if bundle.manifest.task != "sleep" or bundle.manifest.labels != STAGES:
        raise ConfigError(
            "only a sleep bundle can be scored on recordings with a hypnogram",
            source=str(bundle.path),
            expected=f"task sleep, classes {', '.join(STAGES)}",
            got=f"task {bundle.manifest.task}, classes {', '.join(bundle.manifest.labels)}",
            next_step="Name a sleep bundle, such as exports/sleep",
        )


def _few(figures: dict[str, Any]) -> list[str]:
    n = figures["n"] + figures["abstained"]["n"]
    return [f"Only {n} scored epochs: so few say little."] if n < FEW_EPOCHS else []


def _told(notes: dict[str, list[str]]) -> list[str]:
    """Return every note once, with how many nights it is of."""
    count = Counter(note for night in notes.values() for note in night)
    if len(notes) == 1:
        return list(count)
    return [f"{note} ({n} of {len(notes)} nights)" for note, n in count.items()]
