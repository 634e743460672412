"""Pictures of scored faces: the very numbers that were handed to the drawing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from matplotlib.colors import to_hex  # noqa: E402

from edge_app.errors import SinkError  # noqa: E402
from tests.scored_faces import LABELS, scored_faces  # noqa: E402
from trainer.emotion_evaluation.picture_confusion import confusion_picture  # noqa: E402
from trainer.emotion_evaluation.picture_groups import groups_picture  # noqa: E402
from trainer.emotion_evaluation.picture_reliability import reliability_picture  # noqa: E402
from trainer.emotion_evaluation.picture_risk_coverage import risk_coverage_picture  # noqa: E402
from trainer.emotion_evaluation.picture_samples import (  # noqa: E402
    COLUMNS,
    chosen_samples,
    samples_picture,
)
from trainer.emotion_evaluation.pictures import write_pictures  # noqa: E402
from trainer.emotion_evaluation.style import GREEN, GREY, RED  # noqa: E402


def test_every_cell_of_the_confusion_has_its_count_and_share() -> None:
    figures = scored_faces().figures
    (axes,) = confusion_picture(figures, "title").axes
    counts = np.array(figures["confusion"])
    texts = {(round(t.get_position()[1]), round(t.get_position()[0])): t for t in axes.texts}
    assert len(texts) == counts.size
    for (row, column), count in np.ndenumerate(counts):
        expected = f"{count:,}\n{count / counts[row].sum():.0%}"
        assert texts[row, column].get_text() == expected
    drawn = np.asarray(axes.images[0].get_array())
    assert np.allclose(drawn, counts / counts.sum(axis=1, keepdims=True))
    assert f"accuracy {figures['accuracy']:.3f} [" in axes.get_title()
    assert [t.get_text() for t in axes.get_xticklabels()] == list(LABELS)


def test_reliability_shows_before_and_after() -> None:
    figures = scored_faces(temperature=2.0).figures
    left, right = reliability_picture(figures, "title").axes
    for axes, key in ((left, "calibration_before"), (right, "calibration_after")):
        found = figures[key]
        model = next(line for line in axes.lines if line.get_label() == "model")
        assert list(model.get_xdata()) == [row["said"] for row in found["reliability"]]
        assert list(model.get_ydata()) == [row["true"] for row in found["reliability"]]
        heights = [bar.get_height() for bar in axes.patches]
        assert sum(heights) == pytest.approx(1.0)
        assert f"ECE {found['ece']:.3f}, Brier {found['brier']:.3f}" in axes.get_title()
    assert figures["calibration_before"]["ece"] != figures["calibration_after"]["ece"]


def test_risk_and_coverage_mark_the_threshold() -> None:
    figures = scored_faces().figures
    (axes,) = risk_coverage_picture(figures, "title").axes
    curve, _, mark = axes.lines
    assert list(curve.get_ydata()) == [row["risk"] for row in figures["risk_coverage"]["curve"]]
    at = figures["risk_coverage"]["at_accuracy"]
    assert list(mark.get_xdata()) == [at["coverage"]]
    assert list(mark.get_ydata()) == [1.0 - at["accuracy"]]
    never = {**figures["risk_coverage"], "at_accuracy": {"wanted": 0.9, "threshold": None}}
    (axes,) = risk_coverage_picture({**figures, "risk_coverage": never}, "title").axes
    assert len(axes.lines) == 2


def test_every_group_has_its_line_and_few_are_marked() -> None:
    figures = scored_faces().figures
    (axes,) = groups_picture(figures["by"], figures["accuracy"], "title").axes
    rows = figures["by"]["gender"]["groups"]
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert names == [
        f"gender: {value} (n {row['n']:,}{'!' if row['units'] < 20 else ''})"
        for value, row in rows.items()
    ]
    assert sum("!" in name for name in names) == 1
    for i, row in enumerate(rows.values()):
        interval, point = axes.lines[2 * i], axes.lines[2 * i + 1]
        assert list(interval.get_xdata()) == row["accuracy_wilson"]
        assert list(point.get_xdata()) == [row["accuracy"]]
        assert (point.get_color() == GREY) == row["few"]


def test_samples_are_what_their_row_says() -> None:
    made = scored_faces()
    targets, said = made.split.targets.numpy(), made.probabilities
    rows = chosen_samples(targets, said)
    answers, confidence = said.argmax(axis=1), said.max(axis=1)
    assert (answers[rows["right"]] == targets[rows["right"]]).all()
    assert (answers[rows["wrong"]] != targets[rows["wrong"]]).all()
    wrong = confidence[answers != targets]
    assert list(confidence[rows["wrong"]]) == sorted(wrong, reverse=True)[:COLUMNS]
    assert list(confidence[rows["unsure"]]) == sorted(confidence)[:COLUMNS]

    pixels = made.split.inputs[0].numpy()[:, 0]
    grid = samples_picture(pixels, targets, said, LABELS, "title").axes
    shown = [(line, i) for line, chosen in enumerate(rows.values()) for i in enumerate(chosen)]
    for line, (column, i) in shown:
        axes = grid[line * COLUMNS + column]
        assert np.array_equal(np.asarray(axes.images[0].get_array()), pixels[i])
        answer = f"{LABELS[answers[i]]} {confidence[i]:.2f}\ntrue: {LABELS[targets[i]]}"
        assert axes.get_title() == answer
        colour = GREEN if answers[i] == targets[i] else RED
        assert to_hex(axes.title.get_color()) == colour


def test_few_pictures_leave_places_of_the_sheet_empty() -> None:
    targets = np.array([0, 1, 1])
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    rows = chosen_samples(targets, said)
    assert {name: list(chosen) for name, chosen in rows.items()} == {
        "right": [0, 1],
        "wrong": [2],
        "unsure": [2, 1, 0],
    }
    pixels = np.zeros((3, 48, 48), dtype=np.uint8)
    grid = samples_picture(pixels, targets, said, ("a", "b"), "title").axes
    assert sum(len(axes.images) for axes in grid) == 2 + 1 + 3


def test_all_are_written_and_a_full_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.emotion_evaluation.pictures.DPI", 20)
    made = scored_faces()
    paths = write_pictures(made.figures, made.split, made.probabilities, tmp_path)
    assert [path.name for path in paths] == [
        "confusion.png",
        "confusion_duplicate_free.png",
        "reliability.png",
        "risk_coverage.png",
        "robustness.png",
        "subgroups.png",
        "samples.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    with pytest.raises(SinkError, match="cannot write the picture"):
        write_pictures(made.figures, made.split, made.probabilities, tmp_path / "missing")
