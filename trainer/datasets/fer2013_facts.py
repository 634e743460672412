"""What is published about FER-2013: classes, splits, counts (Goodfellow et al. 2013, 1307.0414)."""

from __future__ import annotations

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""In the order of the csv's numbers; alphabetical folders swap neutral, sad and surprise."""
SIZE_PX = 48
TRAINING, PUBLIC_TEST, PRIVATE_TEST = USAGES = ("Training", "PublicTest", "PrivateTest")
COUNTS = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}
"""Pictures by usage and label, in the order of ``LABELS``."""
ARCHIVE = "fer2013.tar.xz"
