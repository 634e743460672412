"""Recipes: every shipped one is valid, and a wrong key is named together with the right ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from edge_app.errors import ConfigError  # noqa: E402
from trainer.recipe import RECIPES_DIR, FitOptions, load_recipe  # noqa: E402
from trainer.registry import EXPERIMENTS, experiment_class  # noqa: E402

EMOTION = RECIPES_DIR / "emotion_teacher.yaml"
SHIPPED = {
    "emotion_attention_cnn",
    "emotion_baseline_cnn",
    "emotion_cbam_resnet50",
    "emotion_clinical_cnn",
    "emotion_finish",
    "emotion_frozen_resnet50",
    "emotion_illumination",
    "emotion_resnet50",
    "emotion",
    "emotion_again",
    "emotion_last",
    "emotion_mean",
    "emotion_teacher",
    "seq_sleep_net",
    "seq_sleep_net_bedside",
    "seq_sleep_net_gamma",
    "sleep_stream",
    "sleep_stream_gamma",
    "frailty_register",
    "frailty_deepconvlstm",
    "frailty_deepconvlstm_1e-3",
}


def write(tmp_path: Path, **sections: object) -> Path:
    document = yaml.safe_load(EMOTION.read_text()) | sections
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_every_shipped_recipe_is_valid_and_opens_with_its_command() -> None:
    found = sorted(RECIPES_DIR.rglob("*.yaml"))
    assert {path.stem for path in found} == SHIPPED
    tasks = set()
    for path in found:
        tasks.add(load_recipe(path).task)
        named = rf"(trainer/recipes/{path.name}|{path.stem})"
        first = path.read_text().splitlines()[0]
        assert re.match(rf"# trainer (fit|cross-validate) {named} --data ", first), first
    assert tasks == set(EXPERIMENTS)


def test_a_shipped_recipe_is_found_by_its_name() -> None:
    assert load_recipe(Path("emotion_teacher")).name == "emotion_teacher"


def test_the_written_out_recipe_reads_back_to_the_same(tmp_path: Path) -> None:
    recipe = load_recipe(EMOTION, ("fit.passes=3",))
    path = tmp_path / "again.yaml"
    path.write_text(recipe.to_yaml())
    assert load_recipe(path).to_yaml() == recipe.to_yaml()


def test_set_wins_over_the_file() -> None:
    recipe = load_recipe(
        EMOTION, ("fit.passes=3", "seed=9", "experiment.dropout=0.1", "fit.ema_decay=null")
    )
    assert (recipe.fit.passes, recipe.seed, recipe.fit.ema_decay) == (3, 9, None)
    assert recipe.experiment.options.dropout == 0.1


def test_a_wrong_key_is_named_with_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fit\.pases") as caught:
        load_recipe(EMOTION, ("fit.pases=3",))
    assert all(name in str(caught.value) for name in FitOptions.model_fields)
    with pytest.raises(ConfigError, match=r"experiment\.dropuot") as caught:
        load_recipe(EMOTION, ("experiment.dropuot=0.3",))
    assert "dropout" in str(caught.value)
    with pytest.raises(ConfigError, match="key fitt") as caught:
        load_recipe(write(tmp_path, fitt={}))
    assert "experiment" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("fit.passes=0", "fit.passes"),
        ("fit.learning_rate=fast", "fit.learning_rate"),
        ("fit.precision=fp8", "fit.precision"),
        ("experiment.dropout=1.5", "experiment.dropout"),
        ("seed=-1", "seed"),
        ("task=mood", "task"),
        ("fit.passes", "key=value"),
        ("seed.low=1", "seed"),
        ("fit.passes=[1", "no YAML"),
        ("task=[a]", "must name its task"),
    ],
)
def test_a_wrong_value_is_named(change: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_recipe(EMOTION, (change,))


def test_a_missing_file_names_the_shipped_recipes_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such recipe") as caught:
        load_recipe(Path("emotion_techer"))
    assert all(path.stem in str(caught.value) for path in RECIPES_DIR.glob("*.yaml"))
    assert str(caught.value).endswith("Did you mean emotion_teacher?")
    assert "Errno" not in str(caught.value)
    with pytest.raises(ConfigError) as far:
        load_recipe(Path("zzz"))
    assert str(far.value).endswith("Name one of these")
    with pytest.raises(ConfigError, match="cannot read the recipe: Is a directory"):
        load_recipe(tmp_path)


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- task\n")
    with pytest.raises(ConfigError, match="not a mapping"):
        load_recipe(path)


def test_the_registry_names_real_classes() -> None:
    assert {experiment_class(task).task for task in EXPERIMENTS} == set(EXPERIMENTS)
    with pytest.raises(ConfigError, match="no such task"):
        experiment_class("mood")
