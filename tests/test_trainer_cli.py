"""The command line: fit, export, evaluate in a row; errors without tracebacks; helpful help."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from rich.console import Console  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from edge_app.errors import DatasetError  # noqa: E402
from tests.toy_experiment import ToyExperiment  # noqa: E402
from trainer import registry  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.cli import app  # noqa: E402
from trainer.experiment import Split  # noqa: E402
from trainer.learning_curve import Row, next_step  # noqa: E402
from trainer.metrics import HEADLINE, IGNORE  # noqa: E402
from trainer.recipe import RECIPES_DIR  # noqa: E402
from trainer.scores_table import scores_table  # noqa: E402

TOY = {"toy": "tests.toy_experiment:ToyExperiment"}
TOY_RECIPE = """
task: emotion
seed: 1
experiment: {}
fit: {passes: 2, batch: 32, learning_rate: 0.1}
"""


class Command:
    """``trainer`` as a shell sees it: words in; exit code, output and errors out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: object) -> tuple[object, str, str]:
        self._monkeypatch.setattr("sys.argv", ["trainer", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self._capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(registry.EXPERIMENTS, "emotion", TOY)
    path = tmp_path / "toy.yaml"
    path.write_text(TOY_RECIPE)
    return path


def test_fit_export_evaluate_in_a_row(trainer: Command, toy: Path, tmp_path: Path) -> None:
    run, bundle = tmp_path / "run", tmp_path / "toy"
    code, out, _ = trainer("fit", toy, "--data", tmp_path, "--out", run, "--set", "fit.passes=3")
    assert code == 0
    assert "pass   3/3" in out
    assert f"trainer export {run} --out out/toy --data {tmp_path}" in out
    assert "passes: 3" in (run / "recipe.yaml").read_text()
    recorded = json.loads((run / "run.json").read_text())["command"]
    assert recorded == f"trainer fit {toy} --data {tmp_path} --out {run} --set fit.passes=3"

    code, out, _ = trainer("export", run, "--out", bundle, "--data", tmp_path)
    assert code == 0
    assert "accuracy" in out
    figures = tmp_path / "new" / "figures.json"
    for words in ((), ("--split", "validation")):
        code, out, _ = trainer("evaluate", bundle, "--data", tmp_path, "--json", figures, *words)
        assert code == 0
        assert json.loads(figures.read_text())["n"] == 150


def test_a_run_that_is_there_is_resumed_only_when_asked(
    trainer: Command, toy: Path, tmp_path: Path
) -> None:
    words = ("fit", toy, "--data", tmp_path, "--out", tmp_path / "run")
    assert trainer(*words)[0] == 0
    code, _, err = trainer(*words)
    assert code == 7
    assert "--resume" in err
    code, out, _ = trainer(*words, "--resume")
    assert code == 0
    assert "nothing to resume" not in out


def test_a_resume_of_nothing_says_that_it_begins_anew(
    trainer: Command, toy: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    code, out, _ = trainer("fit", toy, "--data", tmp_path, "--out", run, "--resume")
    assert code == 0
    assert f"nothing to resume in {run}: begun anew" in out
    assert (run / "last.pt").is_file()


def test_a_run_no_better_than_the_commonest_class_is_not_to_be_exported(
    trainer: Command, toy: Path, tmp_path: Path
) -> None:
    run, hopeless = tmp_path / "run", ("fit.passes=1", "fit.learning_rate=1e-9")
    changes = [word for change in hopeless for word in ("--set", change)]
    code, out, _ = trainer("fit", toy, "--data", tmp_path, "--out", run, *changes)
    assert code == 0
    assert "no better" in out
    assert str(run / "curve.png") in out
    assert "trainer export" not in out


@pytest.mark.parametrize(("accuracy", "word"), [(0.5, "no better"), (0.51, "Next: EXPORT")])
def test_the_commonest_class_is_counted_among_the_labelled(accuracy: float, word: str) -> None:
    targets = torch.tensor([[0, 0, IGNORE], [1, 2, IGNORE]])  # half of the labelled are 0
    split = Split((), targets, np.array(["a", "b"]), "two nights")
    best = Row(0, 0.1, 1.0, 1.0, accuracy, 0.3, 1.0)
    assert word in next_step(best, split, Path("run"), "EXPORT")


def test_ctrl_c_says_how_to_go_on(trainer: Command, toy: Path, tmp_path: Path) -> None:
    code, out, _ = trainer(
        *("fit", toy, "--data", tmp_path, "--out", tmp_path / "run"),
        *("--set", "experiment.interrupt_in_call=3"),
    )
    assert code == 130
    assert "--resume" in out


@pytest.mark.parametrize(
    ("left", "said"), [("fold_1", "finished folds are kept"), (None, "nothing was kept")]
)
def test_ctrl_c_in_folds_says_what_is_kept(
    trainer: Command,
    toy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left: str | None,
    said: str,
) -> None:
    def stopped(*_: object) -> None:
        if left is not None:
            (tmp_path / "cv" / left).mkdir(parents=True)
            (tmp_path / "cv" / left / "answers.npz").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyExperiment, "cross_validate", stopped)
    monkeypatch.setattr(ToyExperiment, "fit_directly", stopped)
    words = (toy, "--data", tmp_path, "--out", tmp_path / "cv")
    code, out, _ = trainer("cross-validate", *words)
    assert code == 130
    assert said in out
    shutil.rmtree(tmp_path / "cv")
    monkeypatch.setattr(ToyExperiment, "fits_directly", True)
    code, out, _ = trainer("fit", *words)
    assert code == 130
    assert said in out


@pytest.mark.parametrize(
    ("words", "exit_code", "named"),
    [
        (("fit", "no_such_recipe", "--data", ".", "--out", "{tmp}/run"), 2, "sleep_stream"),
        (("fit", "{toy}", "--data", ".", "--out", "{tmp}/r", "--set", "fit.pases=2"), 2, "passes"),
        (
            (
                *("fit", "{toy}", "--data", ".", "--out", "{tmp}/r"),
                *("--set", "experiment.shared_person=true"),
            ),
            6,
            "Ada",
        ),
        (
            (
                "fit",
                "{toy}",
                "--data",
                ".",
                "--out",
                "{tmp}/r",
                "--set",
                "experiment.nan_in_call=1",
            ),
            7,
            "loss is nan",
        ),
        (("fit", "{toy}", "--data", ".", "--out", "{tmp}/toy.yaml/run"), 7, "cannot write"),
        (("export", "{tmp}", "--data", ".", "--out", "{tmp}/bundle"), 7, "trainer fit"),
        (("evaluate", "{tmp}", "--data", ".", "--json", "{tmp}/x.json"), 3, "manifest.json"),
        (("evaluate", "{tmp}", "--data", ".", "--json", "{tmp}/toy.yaml/x"), 5, "--json"),
        (("evaluate", "{tmp}", "--data", ".", "--json", "{tmp}"), 5, "this is a folder"),
        (("evaluate-strides", "{tmp}", "--json", "{tmp}"), 5, "this is a folder"),
        (("evaluate", "{tmp}", "--data", "{tmp}/no", "--json", "{tmp}/x"), 6, "no such file"),
        (("evaluate-strides", "{tmp}/no", "--json", "{tmp}/x"), 6, "no such file"),
    ],
)
def test_errors_name_the_way_out_without_a_traceback(
    trainer: Command, toy: Path, tmp_path: Path, words: tuple[str, ...], exit_code: int, named: str
) -> None:
    filled = [word.format(tmp=tmp_path, toy=toy) for word in words]
    code, out, err = trainer(*filled)
    assert code == exit_code
    assert err.startswith("error:")
    assert named in err
    assert "Traceback" not in out + err


def test_fit_of_data_that_is_not_there(trainer: Command, tmp_path: Path) -> None:
    words = ("fit", RECIPES_DIR / "emotion_teacher.yaml", "--data", tmp_path / "nowhere")
    code, _, err = trainer(*words, "--out", tmp_path / "run")
    assert code == 6
    assert "fer2013.tar.xz" in err
    assert not (tmp_path / "run").exists()  # the corrected command may use the same --out


def test_a_failed_evaluation_leaves_no_empty_figures(trainer: Command, tmp_path: Path) -> None:
    figures, earlier = tmp_path / "new.json", tmp_path / "earlier.json"
    earlier.write_text("{}")
    for path in (figures, earlier):
        assert trainer("evaluate", tmp_path, "--data", ".", "--json", path)[0] == 3
    assert not figures.exists()
    assert earlier.read_text() == "{}"


@pytest.mark.parametrize("command", [["fit"], ["export"], ["evaluate"], ["prepare", "simulation"]])
def test_help_teaches_by_an_example(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"]).output
    assert f"trainer {' '.join(command)} " in shown
    assert "Example" in shown


@pytest.mark.parametrize("command", ["fit", "cross-validate"])
def test_help_shows_a_change_of_the_recipe(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"]).output
    assert "--set experiment.subjects=null" in " ".join(shown.replace("│", " ").split())


def test_a_missing_folder_of_nights_is_called_missing(trainer: Command, tmp_path: Path) -> None:
    code, _, said = trainer("prepare", "sleep", "--data", tmp_path / "none")
    assert code == DatasetError.exit_code
    assert "no such file or folder" in said


def test_strides_are_held_against_labels(trainer: Command, tmp_path: Path, data_dir: Path) -> None:
    walks = tmp_path / "walks"
    walks.mkdir()
    for file in (data_dir / "gait" / "imu_walks").glob("6-*"):
        (walks / file.name).symlink_to(file)
    figures = tmp_path / "strides.json"
    code, out, _ = trainer("evaluate-strides", walks, "--json", figures)
    assert code == 0
    assert "person 6" in out
    found = json.loads(figures.read_text())
    assert found["people"] == 1
    assert found["n"] == 89
    assert found["f1"] > 0.97
    assert found["stride_time_median_absolute_error_s"] < 0.015
    assert set(found["by_foot"]) == {"left", "right"}


def test_walks_left_out_are_named(trainer: Command, tmp_path: Path, data_dir: Path) -> None:
    walks = tmp_path / "walks"
    walks.mkdir()
    for name in ("6-1.json", "6-1_lf.txt", "6-2_rf.txt", "6-3.json"):
        (walks / name).symlink_to(data_dir / "gait" / "imu_walks" / name)
    code, out, _ = trainer("evaluate-strides", walks, "--json", tmp_path / "strides.json")
    assert code == 0
    said = [
        "6-1: no 6-1_rf.txt",
        "6-3: no 6-3_lf.txt and no 6-3_rf.txt",
        "6-2_rf.txt: no labels 6-2.json",
    ]
    assert json.loads((tmp_path / "strides.json").read_text())["left_out"] == said
    assert f"WARNING left out: {'; '.join(said)}" in out


def test_a_walk_with_samples_that_are_no_numbers_is_named(
    trainer: Command, tmp_path: Path, data_dir: Path
) -> None:
    source = data_dir / "gait" / "imu_walks"
    (tmp_path / "6-1.json").symlink_to(source / "6-1.json")
    lines = (source / "6-1_lf.txt").read_text().splitlines()
    cells = lines[300].split("\t")
    lines[300] = "\t".join([cells[0], "nan", *cells[2:]])
    (tmp_path / "6-1_lf.txt").write_text("\n".join(lines) + "\n")
    code, _, err = trainer("evaluate-strides", tmp_path, "--json", tmp_path / "strides.json")
    assert code == 6
    assert "6-1_lf.txt" in err
    assert "row 299" in err


def test_small_groups_and_missing_classes_are_marked() -> None:
    def scores(n: int, *support: int) -> dict[str, object]:
        per_class = {str(i): {"support": count} for i, count in enumerate(support)}
        return {"n": n, "per_class": per_class} | dict.fromkeys(HEADLINE, 0.5)

    groups = {"age_range_of_a_very_long_name_95-99": scores(6, 6, 0), "indoors": scores(40, 20, 20)}
    figures = {"bundle": "b", "data": "d", **scores(46, 26, 20), "subsets": groups}
    console = Console(width=80, record=True)
    console.print(scores_table(figures))
    shown = console.export_text()
    assert "6*!" in shown
    assert "40 " in shown
    assert "46*" not in shown
    assert "fewer than 20" in shown
    assert "95-99" in shown


def test_strides_of_no_walks_are_refused(trainer: Command, tmp_path: Path) -> None:
    code, _, err = trainer("evaluate-strides", tmp_path, "--json", tmp_path / "strides.json")
    assert code == 6
    assert "Traceback" not in err
    assert not (tmp_path / "strides.json").exists()


def test_an_experiment_without_folds_says_so(trainer: Command, toy: Path, tmp_path: Path) -> None:
    code, _, err = trainer("cross-validate", toy, "--data", tmp_path, "--out", tmp_path / "cv")
    assert code not in (0, None)
    assert "no cross-validation" in err
    assert "trainer fit" in err
