"""A person's own resting face: collected once, kept over a restart, change told against it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_app.errors import ConfigError
from edge_app.expression_baseline import RestingBaseline
from edge_app.person_file import PersonFile

LABELS = ("fear", "sad", "neutral")
REST = np.array([0.1, 0.6, 0.3])


def baseline(needed_s: float = 2.0, model: str = "m@1") -> RestingBaseline:
    return RestingBaseline(needed_s, LABELS, model)


def test_it_says_how_much_is_collected_then_the_change() -> None:
    own = baseline()
    own.add(REST, 1.5)
    assert own.evidence(REST) == [("baseline_s", 1.5)]
    own.add(REST, 1.5)
    assert own.complete
    told = dict(own.evidence(np.array([0.2, 0.5, 0.3])))
    assert told.pop("baseline_s") == 2.0
    # log(0.2/0.8) - log(0.1/0.9), log(0.5/0.5) - log(0.6/0.4), and as at rest
    assert told == pytest.approx(
        {"change_fear": math.log(2.25), "change_sad": -math.log(1.5), "change_neutral": 0.0}
    )
    assert own.evidence(None) == [("baseline_s", 2.0)]


def test_it_is_the_geometric_mean_by_time_and_then_stands() -> None:
    own = baseline(4.0)
    own.add(np.array([0.8, 0.1, 0.1]), 1.0)
    own.add(np.array([0.1, 0.1, 0.8]), 5.0)  # counts for the 3 s that were lacking
    raw = np.array([0.8**0.25 * 0.1**0.75, 0.1, 0.1**0.25 * 0.8**0.75])
    np.testing.assert_allclose(own.as_dict()["rest"], raw / raw.sum(), rtol=1e-12)
    before = own.as_dict()
    own.add(np.array([0.98, 0.01, 0.01]), 10.0)
    assert own.as_dict() == before


@pytest.mark.parametrize("rate_hz", [10, 30])
def test_the_frame_rate_does_not_matter(rate_hz: int) -> None:
    own = baseline(3.0)
    for frame in range(1, 5 * rate_hz):
        own.add(REST if frame <= rate_hz else REST[::-1], 1.0 / rate_hz)
    logs = (np.log(REST) + 2.0 * np.log(REST[::-1])) / 3.0
    raw = np.exp(logs)
    np.testing.assert_allclose(own.as_dict()["rest"], raw / raw.sum(), rtol=1e-9)


@given(arrays(np.float64, 3, elements=st.floats(0.0, 1.0)).filter(lambda p: p.sum() > 0.01))
def test_a_person_at_rest_shows_no_change_and_nothing_is_infinite(raw: np.ndarray) -> None:
    p = raw / raw.sum()
    own = baseline()
    own.add(p, 2.0)
    told = dict(own.evidence(p))
    assert [told[f"change_{label}"] for label in LABELS] == pytest.approx([0.0] * 3, abs=1e-3)
    surprised = dict(own.evidence(np.array([1.0, 0.0, 0.0])))
    assert all(math.isfinite(value) for value in surprised.values())


def test_it_outlives_the_program(tmp_path: Path) -> None:
    path = tmp_path / "state" / "bed1_face.json"
    kept = PersonFile(path, baseline(), unix_s=lambda: 1000.0)
    kept.claim(simulated=True)
    kept.person.add(REST, 1.0)
    kept.heard([])
    assert path.stat().st_mode & 0o077 == 0

    again = PersonFile(path, baseline(), unix_s=lambda: 9000.0)
    assert again.person.collected_s == 1.0
    again.person.add(REST, 1.0)
    assert dict(again.person.evidence(REST))["change_sad"] == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ConfigError, match="must not be mixed"):
        again.claim(simulated=False)


def test_a_shorter_need_is_met_by_what_was_kept() -> None:
    own = baseline(60.0)
    own.add(REST, 60.0)
    shorter = baseline(30.0)
    shorter.restore(own.as_dict(), age_s=0.0)
    assert (shorter.collected_s, shorter.complete) == (30.0, True)


def test_one_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "face.json"
    PersonFile(path, baseline(model="m@1")).heard([])
    with pytest.raises(ConfigError, match="another model"):
        PersonFile(path, baseline(model="m@2"))


@pytest.mark.parametrize(
    "change",
    [
        {"rest": [0.5, 0.5]},
        {"rest": [0.5, 0.5, 0.5]},
        {"rest": [float("nan"), 0.5, 0.5]},
        {"rest": [-0.5, 0.5, 1.0]},
        {"rest": None},
        {"collected_s": -1.0},
        {"collected_s": float("nan")},
        {"collected_s": "much"},
        {"labels": ["a"]},
    ],
)
def test_a_damaged_one_is_refused_and_left_alone(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "face.json"
    kept = PersonFile(path, baseline())
    kept.person.add(REST, 1.0)
    kept.save()
    document = json.loads(path.read_text())
    document["person"] |= change
    text = json.dumps(document)
    path.write_text(text)
    with pytest.raises(ConfigError, match="cannot be read"):
        PersonFile(path, baseline())
    assert path.read_text() == text
