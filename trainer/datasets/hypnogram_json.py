"""A hypnogram as JSON: one letter an epoch, with the times of the lights."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.errors import DatasetError
from trainer.datasets.hypnogram import Hypnogram, refuse_hypnogram
from trainer.datasets.sleep_stages import EPOCH_S, stage_of_rk_letter

_DAY_S = 86400.0


def read_json_hypnogram(path: Path) -> Hypnogram:
    """Read one file.

    Args:
        path: an object with ``stages``, R&K letters ``W 1 2 3 4 R M ?``; maybe also ``epoch_s``,
            ``n_epochs``, ``hypnogram_start``, and ``lights_off``, ``lights_on`` as times of day.

    Returns:
        The hypnogram; its time 0 is its first epoch.

    Raises:
        DatasetError: no JSON, no such field, an unknown letter, another epoch or length.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        letters = str(content["stages"])
        epoch_s, n_epochs = float(content.get("epoch_s", EPOCH_S)), content.get("n_epochs")
        start = content.get("hypnogram_start")
        began = None if start is None else datetime.fromisoformat(start)
        lights = [_seconds_after(began, content.get(key)) for key in ("lights_off", "lights_on")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"the hypnogram cannot be read: {error!r}",
            source=str(path),
            next_step="Get the file again and compare its checksum",
        ) from error
    stages = [stage_of_rk_letter(letter) for letter in letters]
    unknown = sorted({a for a, stage in zip(letters, stages, strict=True) if stage is None})
    if unknown or not letters:
        refuse_hypnogram(
            str(path), "unknown stages", expected="letters W 1 2 3 4 R M ?", got=unknown or "none"
        )
    if epoch_s != EPOCH_S or n_epochs not in (None, len(letters)):
        refuse_hypnogram(
            str(path),
            "its fields contradict its stages",
            expected=f"{len(letters)} epochs of 30 s",
            got=f"{n_epochs} epochs of {epoch_s:g} s",
        )
    return Hypnogram(
        str(path),
        np.array(stages, np.int64),
        start_unix_s=None if began is None else began.replace(tzinfo=timezone.utc).timestamp(),
        lights_off_s=lights[0],
        lights_on_s=lights[1],
    )


def _seconds_after(began: datetime | None, time_of_day: str | None) -> float | None:
    """Return when a local time of day came next, in seconds after the beginning."""
    if began is None or time_of_day is None:
        return None
    at = datetime.combine(began.date(), datetime.strptime(time_of_day, "%H:%M:%S").time())
    return float(((at - began) / timedelta(seconds=1)) % _DAY_S)
