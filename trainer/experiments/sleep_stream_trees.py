"""Growing the trees of a streamed stager on the nights learnt from."""

from __future__ import annotations

import torch

from edge_app.errors import DatasetError
from trainer.datasets.sleep_stages import STAGES
from trainer.experiment import Split
from trainer.experiments.sleep_stream_nights import another_amplifier, without
from trainer.experiments.sleep_stream_options import SleepStreamOptions, TreeOptions
from trainer.features.causal_levels import CausalLevels
from trainer.metrics import IGNORE
from trainer.models.sleep_trees import SleepTrees
from trainer.models.stage_trees import StageTrees


def bare_trees(options: TreeOptions) -> SleepTrees | None:
    """Return trees that have not grown yet; None where the recipe has none."""
    if options.rounds == 0:
        return None
    return SleepTrees(
        StageTrees(
            len(STAGES), rounds=options.rounds, leaves=options.leaves, max_depth=options.max_depth
        )
    )


def grow_on_nights(
    trees: SleepTrees,
    levels: CausalLevels,
    learn: Split,
    options: SleepStreamOptions,
    seed: int,
) -> None:
    """Grow trees on copies of the nights, each heard through an amplifier of its own.

    Args:
        trees: not grown yet.
        levels: standardised by the same nights.
        learn: padded nights.
        options: the recipe's.
        seed: of all draws.

    Raises:
        DatasetError: a stage that nobody learnt from shows.
    """
    generator = torch.Generator().manual_seed(seed)
    stages = learn.targets[:, :, 0]
    scored = stages != IGNORE
    counts = torch.bincount(stages[scored], minlength=len(STAGES)).tolist()
    if 0 in counts:
        raise DatasetError(
            f"{learn.name}: nobody is ever in stage {STAGES[counts.index(0)]}, trees need each",
            expected=f"epochs of {', '.join(STAGES)}",
            got=counts,
            next_step="Give more people, or do without: --set experiment.trees.rounds=0",
        )
    seen = []
    for _ in range(options.trees.copies):
        copy = another_amplifier(
            learn.inputs[0],
            generator,
            gain_db=options.gain_db,
            tilt_db=options.tilt_db,
            slow_probability=options.slow_probability,
        )
        copy = without(
            copy,
            generator,
            epoch_probability=options.drop_probability,
            psd_probability=options.trees.psd_probability,
        )
        seen.append(trees.inputs(levels(copy))[scored])
    trees.trees.grow(
        torch.cat(seen).numpy(),
        stages[scored].repeat(options.trees.copies).numpy(),
        learning_rate=options.trees.learning_rate,
        min_leaf=options.trees.min_leaf * options.trees.copies,
        l2=options.trees.l2,
        feature_share=options.trees.feature_share,
        seed=seed,
    )
