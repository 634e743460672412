"""What the bedside does to an epoch before any of our sleep models sees it."""

from __future__ import annotations

from edge_app.inference.manifest import EegConditioning

RATE_HZ = 100.0
EPOCH_SAMPLES = 3000
CONDITIONING = EegConditioning(
    kind="eeg_epoch",
    max_missing_fraction=0.2,
    flat_below_uv=0.5,
    clipped_above_fraction=0.05,
    max_abs_uv=1000.0,
    movement_uv=300.0,
    max_movement_fraction=0.5,
    max_mains_share=0.9,
    estimate_every_s=7.5,
)
"""Of 180 epochs of real EEG, 30 minutes of three derivations, one is lost: a clipped one."""
