"""A recipe: one YAML that says what to train and how, every key checked.

    task: emotion          which task of the bedside
    method: face_crop      how it is learnt (trainer/registry.py); the task's first where left out
    seed: 1                data order, augmentation, first weights
    experiment: {...}      that experiment's own Options
    fit: {...}             FitOptions, below

``--set fit.passes=2`` on the command line wins over the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_app.errors import ConfigError
from trainer.experiment import Experiment
from trainer.registry import EXPERIMENTS, experiment_class

RECIPES_DIR = Path(__file__).parent / "recipes"
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


class FitOptions(BaseModel):
    """How the loop of ``trainer/fit.py`` runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passes: int = Field(ge=1, le=10_000, description="Times the training split is seen.")
    steps_per_pass: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Batches after which to validate; a pass is then this long. null: the split.",
    )
    batch: int = Field(ge=1, le=65_536, description="Examples a step, on average.")
    optimiser: Literal["sgd", "adam", "adamw"] = Field(
        default="sgd", description="sgd has Nesterov momentum 0.9."
    )
    learning_rate: float = Field(gt=0.0, le=10.0, description="Peak, reached after the warm-up.")
    schedule: Literal["cosine", "constant", "cosine_restarts", "plateau"] = Field(
        default="cosine",
        description="After the warm-up: half a cosine over all passes; no change; half a cosine"
        " again and again; or less each time that validation stands still.",
    )
    restart_passes: int = Field(
        default=10, ge=1, le=10_000, description="cosine_restarts: passes of the first cycle."
    )
    restart_factor: int = Field(
        default=2, ge=1, le=100, description="cosine_restarts: a cycle's length by the last one's."
    )
    plateau_passes: int = Field(
        default=5,
        ge=1,
        le=10_000,
        description="plateau: passes without a better select_by that lower the rate.",
    )
    plateau_factor: float = Field(
        default=0.5, gt=0.0, lt=1.0, description="plateau: what the rate is then multiplied by."
    )
    min_learning_rate: float = Field(
        default=0.0, ge=0.0, le=10.0, description="Where each cosine ends; the least of plateau."
    )
    weight_decay: float = Field(default=1e-4, ge=0.0, le=1.0, description="L2 pull on all weights.")
    warmup_passes: float = Field(
        default=1.0, ge=0.0, le=1000.0, description="Passes of linear rise before the cosine."
    )
    label_smoothing: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Share of each target spread over all classes."
    )
    ema_decay: float | None = Field(
        default=0.999,
        ge=0.0,
        lt=1.0,
        description="Decay of the averaged weights that are validated and exported; null: none.",
    )
    statistics_from: int = Field(
        default=0,
        ge=0,
        description="Training examples, not augmented, on which batch normalisation is measured"
        " anew after each pass, for what is validated and exported; 0: as it ran in training.",
    )
    clip_norm: float | None = Field(
        default=None, gt=0.0, description="Largest norm of the gradient; null: no limit."
    )
    precision: Precision = Field(
        default="32-true",
        description="bf16-mixed: bfloat16 where torch deems it safe. 16-mixed: float16 with a"
        " scaled loss, for GPUs without bfloat16.",
    )
    channels_last: bool = Field(
        default=False, description="Memory order that convolutions on pictures run faster in."
    )
    select_by: Literal["accuracy", "macro_f1", "loss"] = Field(
        default="macro_f1", description="Validation figure that chooses the best pass."
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Passes without a better select_by after which to stop; null: never early.",
    )

    @model_validator(mode="after")
    def _rates_in_order(self) -> FitOptions:
        if self.min_learning_rate > self.learning_rate:
            raise ValueError("min_learning_rate is above learning_rate")
        return self


class RecipeFile(BaseModel):
    """The YAML as written; ``experiment`` is checked next, by the task's own Options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["emotion", "sleep", "frailty"] = Field(description="Which task of the bedside.")
    method: str | None = Field(default=None, description="How it is learnt; null: the first way.")
    seed: int = Field(ge=0, le=2**31 - 1, description="Start of every random sequence.")
    experiment: dict[str, Any] = Field(description="The experiment's own Options.")
    fit: FitOptions = Field(description="How the loop runs.")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checked recipe and the experiment that it builds."""

    name: str
    task: str
    method: str | None
    seed: int
    fit: FitOptions
    experiment: Experiment

    def to_yaml(self) -> str:
        """Return the recipe with every default written out."""
        document = {
            "task": self.task,
            "method": self.method,
            "seed": self.seed,
            "experiment": self.experiment.options.model_dump(mode="json"),
            "fit": self.fit.model_dump(mode="json"),
        }
        return yaml.safe_dump(document, sort_keys=False)


def load_recipe(path: Path, changes: tuple[str, ...] = (), name: str | None = None) -> Recipe:
    """Read and check a recipe.

    Args:
        path: a YAML file, or the bare name of one in ``trainer/recipes``.
        changes: ``key=value`` with dots between levels, as in ``fit.passes=2``.
        name: what to call the recipe; its file's name when None.

    Returns:
        The recipe with its experiment built.

    Raises:
        ConfigError: no such file, no YAML, or a wrong key or value; names the allowed keys.
    """
    if not path.is_file() and (RECIPES_DIR / f"{path.name}.yaml").is_file():
        path = RECIPES_DIR / f"{path.name}.yaml"
    if not path.exists():
        raise _no_recipe(path)
    document = _read_yaml(path)
    for change in changes:
        _apply(document, change)
    task = document.get("task")
    if not isinstance(task, str) or task not in EXPERIMENTS:
        raise ConfigError(
            "the recipe must name its task",
            source=str(path),
            expected=sorted(EXPERIMENTS),
            got=task,
            next_step="Write for instance `task: emotion`",
        )
    checked = _validate(RecipeFile, document, path, ())
    experiment = experiment_class(checked.task, checked.method)
    options = _validate(experiment.Options, checked.experiment, path, ("experiment",))
    return Recipe(
        name=name or path.stem,
        task=checked.task,
        method=checked.method,
        seed=checked.seed,
        fit=checked.fit,
        experiment=experiment(options),
    )


def _no_recipe(path: Path) -> ConfigError:
    shipped = sorted(recipe.stem for recipe in RECIPES_DIR.glob("*.yaml"))
    near = get_close_matches(path.stem, shipped, n=1)
    return ConfigError(
        "no such recipe",
        source=str(path),
        expected=f"a YAML file, or one of {', '.join(shipped)}",
        next_step=f"Did you mean {near[0]}?" if near else "Name one of these",
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"cannot read the recipe: {getattr(error, 'strerror', None) or error}",
            source=str(path),
            next_step="Start from a file in trainer/recipes",
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(
            "the recipe is not a mapping of keys",
            source=str(path),
            expected="task, seed, experiment, fit",
            got=type(document).__name__,
            next_step="Start from a file in trainer/recipes",
        )
    return document


def _apply(document: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    levels = key.strip().split(".")
    if not equals or not all(levels):
        raise ConfigError(
            "--set needs key=value",
            source=f"--set {change}",
            next_step="Write for instance --set fit.passes=2",
        )
    for level in levels[:-1]:
        child = document.setdefault(level, {})
        if not isinstance(child, dict):
            raise ConfigError(
                f"{level} is a value, not a section",
                source=f"--set {change}",
                next_step="Name a key inside a section, such as fit.passes",
            )
        document = child
    try:
        document[levels[-1]] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            "the value of --set is no YAML",
            source=f"--set {change}",
            next_step="Close its brackets and quotes, as in --set fit.passes=2",
        ) from error


def _validate(model: type[Any], data: dict[str, Any], path: Path, at: tuple[str, ...]) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in (*at, *first["loc"]))
        allowed = _allowed_keys(model, first["loc"][:-1])
        raise ConfigError(
            f"key {where}: {first['msg']}",
            source=str(path),
            expected=f"one of the keys {allowed}" if first["type"] == "extra_forbidden" else None,
            got=first["input"] if first["type"] != "missing" else None,
            next_step=f"Correct it; {'.'.join(at) or 'keys there'} may hold {', '.join(allowed)}",
        ) from error


def _allowed_keys(model: type[Any], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field is not None else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return list(model.model_fields)
