"""Pictures of staged nights: what is drawn, also where stages, answers or people are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("matplotlib")
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle, StepPatch

from edge_app.errors import SinkError
from trainer.sleep_evaluation import pictures
from trainer.sleep_evaluation.figures import sleep_figures
from trainer.sleep_evaluation.night_answers import NightAnswers
from trainer.sleep_evaluation.picture_confidence import confidence_picture
from trainer.sleep_evaluation.picture_confusion import confusion_picture
from trainer.sleep_evaluation.picture_hypnogram import hypnogram_picture
from trainer.sleep_evaluation.picture_overview import overview_picture
from trainer.sleep_evaluation.pictures import write_pictures
from trainer.sleep_evaluation.style import HEIGHT

W, N1, N2, N3, R = range(5)
CEILING = {
    "population": "made up",
    "pairwise_kappa": {"mean": 0.61, "low": 0.5, "high": 0.7},
    "one_against_others": {
        "kappa": 0.72,
        "macro_f1": 0.73,
        "range": {"kappa": [0.7, 0.75], "macro_f1": [0.65, 0.8]},
    },
}
STAGES = [W, W, N1, N2, N2, N2, -1, R]
ANSWERS = [W, N1, N1, N2, -1, N2, N2, R]


def probabilities_of(answers: list[int]) -> npt.NDArray[np.float32]:
    rows = np.full((len(answers), 5), 0.05, np.float32)
    for row, answer in zip(rows, answers, strict=True):
        row[answer] = 0.8
        if answer < 0:
            row[:] = np.nan
    return rows


def night(
    stages: list[int] = STAGES, answers: list[int] = ANSWERS, name: str = "SC4001E0"
) -> NightAnswers:
    return NightAnswers(name, "00", np.array(stages), probabilities_of(answers))


def figures_of(*nights: NightAnswers, ceiling: dict[str, Any] | None = None) -> dict[str, Any]:
    return sleep_figures({0: nights}, ceiling=ceiling, resamples=2)


def stairs(axes: Axes) -> list[StepPatch]:
    return [patch for patch in axes.patches if isinstance(patch, StepPatch)]


def grey_hours(axes: Axes) -> list[tuple[float, float]]:
    spans = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [(span.get_x(), span.get_x() + span.get_width()) for span in spans]


def test_a_hypnogram_shows_expert_model_and_where_they_differ() -> None:
    top, middle, bottom = hypnogram_picture(night(), "said at once").axes
    hours = np.arange(9) * 30 / 3600
    for axes, stages in ((top, STAGES), (middle, ANSWERS)):
        heights = [np.nan if stage < 0 else HEIGHT[stage] for stage in stages]
        drawn = stairs(axes)[0].get_data()
        np.testing.assert_array_equal(drawn.values, heights)
        np.testing.assert_allclose(drawn.edges, hours)
    marked = middle.collections[0].get_segments()
    assert [segment[0][0] for segment in marked] == [pytest.approx(1.5 * 30 / 3600)]
    assert grey_hours(top) == [pytest.approx((hours[6], hours[7]))]
    assert grey_hours(middle) == grey_hours(bottom) == [pytest.approx((hours[4], hours[5]))]
    names = [label.get_text() for label in middle.get_yticklabels()]
    assert names == ["W", "R", "N1", "N2", "N3", "differs"]


def test_the_hypnodensity_stacks_to_one_and_keeps_all_stages() -> None:
    bottom = hypnogram_picture(night([W] * 3, [W, -1, W]), "said at once").axes[2]
    areas = {patch.get_label(): patch.get_data() for patch in stairs(bottom)}
    assert list(areas) == ["N3", "N2", "N1", "R", "W"]
    np.testing.assert_allclose(areas["W"].values, [1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(areas["W"].values - areas["W"].baseline, [0.8, 0, 0.8], atol=1e-6)
    np.testing.assert_allclose(areas["N3"].baseline, 0)


def test_rows_that_are_not_contiguous_are_not_drawn_over_hours() -> None:
    apart = NightAnswers("a", "s", np.array(STAGES), probabilities_of(ANSWERS), contiguous=False)
    top, _, bottom = hypnogram_picture(apart, "said at once").axes
    assert stairs(top)[0].get_data().edges.tolist() == list(range(9))
    assert "missing" in bottom.get_xlabel()


def test_a_confusion_matrix_shows_shares_counts_and_what_got_no_answer() -> None:
    axes = confusion_picture(figures_of(night()), "made up").axes[0]
    drawn = np.asarray(axes.images[0].get_array())
    assert drawn.shape == (5, 6)
    np.testing.assert_allclose(drawn[W], [0.5, 0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(drawn[N2], [0, 0, 2 / 3, 0, 0, 1 / 3])
    assert drawn[N3].tolist() == [0] * 6
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts[N2, N2] == "2\n66.7%"
    assert texts[5, N2] == "1\n33.3%"
    assert texts[0, N3] == "0"
    assert [label.get_text() for label in axes.get_xticklabels()][-1] == "no answer"


def test_without_abstentions_there_is_no_column_for_them() -> None:
    axes = confusion_picture(figures_of(night([W, N2], [W, N2])), "made up").axes[0]
    assert np.asarray(axes.images[0].get_array()).shape == (5, 5)


def test_calibration_and_risk_are_those_of_the_figures() -> None:
    figures = figures_of(night())
    left, right = confidence_picture(figures, "made up").axes
    lines = {line.get_label(): line for line in (*left.lines, *right.lines)}
    assert lines["model"].get_xdata() == pytest.approx([0.8], abs=1e-6)
    assert lines["model"].get_ydata() == pytest.approx([5 / 6])
    accuracy = [row["accuracy"] for row in figures["risk_coverage"]]
    assert lines["accuracy of what is answered"].get_ydata() == pytest.approx(accuracy)
    assert "N1 answered" in lines
    assert "N3 answered" not in lines  # the expert never names it


def test_the_overview_draws_nights_and_the_human_lines() -> None:
    figures = figures_of(night(), night([W, N2], [W, N2], "SC4002E0"), ceiling=CEILING)
    kappa, f1 = overview_picture(figures, "made up").axes
    bars = [bar.get_height() for bar in kappa.containers[0]]
    assert bars == pytest.approx([row["kappa"] for row in figures["per_night"]])
    heights = {line.get_label(): line.get_ydata()[0] for line in kappa.lines}
    assert heights["one human scorer against four others 0.720*"] == 0.72
    assert heights["two human scorers 0.610*"] == 0.61
    assert [line.get_ydata()[0] for line in f1.lines if "human" in line.get_label()] == [0.73]
    assert [label.get_text() for label in f1.get_xticklabels()] == ["SC4001E0", "SC4002E0"]
    note = overview_picture(figures, "made up").get_supxlabel()
    assert "made up" in note


def test_a_kappa_below_zero_is_not_cut_off() -> None:
    # Expert W N2, model N2 W: no agreement where half is expected by chance, kappa -1.
    early, late = night([W, N2] * 2, [N2, N2, W, N2]), night([W, N2] * 2, [N2, W] * 2)
    figures = sleep_figures({0: [early], 2: [late]}, resamples=2)
    assert figures["delays"]["2"]["per_night"][0]["kappa"] == pytest.approx(-1)
    kappa, f1 = overview_picture(figures, "made up").axes
    assert kappa.get_ylim()[0] < -1
    assert f1.get_ylim()[0] == 0


def test_the_overview_says_when_people_were_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = []

    def drawn(figures: dict[str, Any], title: str) -> Any:
        titles.append(title)
        return overview_picture(figures, title)

    monkeypatch.setattr(pictures, "overview_picture", drawn)
    monkeypatch.setattr(pictures, "DPI", 40)
    for learnt in (["00"], []):
        figures = figures_of(night()) | {"learnt_from": learnt}
        write_pictures(tmp_path, figures, {0: [night()]}, name="made up")
    assert ["people learnt from: figures flatter" in title for title in titles] == [True, False]


def test_without_scorings_there_is_no_human_line() -> None:
    kappa = overview_picture(figures_of(night()), "made up").axes[0]
    assert not any("human" in line.get_label() for line in kappa.lines)


@pytest.mark.parametrize(
    ("stages", "answers"),
    [
        ([W] * 6, [W] * 6),
        ([W, N1, N2], [-1, -1, -1]),
        ([-1, -1, W], [W, W, -1]),
        ([R], [R]),
    ],
)
def test_every_picture_of_odd_nights_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: list[int], answers: list[int]
) -> None:
    monkeypatch.setattr(pictures, "DPI", 40)
    nights = {key: [night(stages, answers, "night 1/2")] for key in (0, 2)}
    figures = sleep_figures(nights, ceiling=CEILING, resamples=2)
    paths = write_pictures(tmp_path / "new", figures, nights, name="made up")
    names = {path.name for path in paths}
    assert {"confusion.png", "confusion_final.png", "overview.png"} < names
    assert "hypnogram_night_1_2.png" in names
    assert ("confidence.png" in names) == bool(figures["n"])
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in paths)


def test_a_folder_that_cannot_be_written_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "confusion.png").mkdir()
    with pytest.raises(SinkError, match="cannot write the picture"):
        write_pictures(tmp_path, figures_of(night()), {0: [night()]})
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot make the folder"):
        write_pictures(tmp_path / "file", figures_of(night()), {0: [night()]})
