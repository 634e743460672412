"""A made-up scene for the face chain: textured squares as faces, and a detector that knows them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face import FaceBox

HEIGHT_PX, WIDTH_PX = 240, 320
WALL = np.random.default_rng(0).integers(60, 160, (HEIGHT_PX, WIDTH_PX), np.uint8)
CONDITIONING = FaceConditioning(
    kind="face_crop",
    size_px=48,
    margin=0.0,
    level_eyes=False,
    min_face_px=24,
    detect_every=3,
    min_hits=3,
    track_lost_s=0.4,
    min_sharpness=10.0,
    min_exposure=40.0,
    max_exposure=180.0,
    max_saturated=0.6,
    max_turn=0.5,
    episodes=(),
)


@dataclass(frozen=True)
class Actor:
    """A face that is in view from ``start_s`` to ``end_s``, at rest; each has its own texture."""

    x_px: int
    y_px: int
    side_px: int
    start_s: float = 0.0
    end_s: float = 1e9
    texture: int = 0

    def box(self) -> FaceBox:
        return FaceBox(self.x_px, self.y_px, self.side_px, self.side_px)


@dataclass
class Stage:
    """Draws the actors of a moment, and detects them."""

    actors: list[Actor]
    missed: set[float] = field(default_factory=set)
    calls: int = 0
    _now_s: float = 0.0

    def frame(self, time_s: float) -> np.ndarray:
        self._now_s = time_s
        picture = WALL.copy()
        for actor in self.present():
            cells = np.random.default_rng(actor.texture).integers(20, 235, (8, 8), np.uint8)
            face = np.kron(cells, np.ones((16, 16), np.uint8))
            steps = np.arange(actor.side_px) * 128 // actor.side_px
            rows = picture[actor.y_px :][: actor.side_px]
            part = rows[:, actor.x_px :][:, : actor.side_px]
            part[:] = face[np.ix_(steps, steps)][: part.shape[0], : part.shape[1]]
        return np.repeat(picture[:, :, None], 3, axis=2)

    def present(self) -> list[Actor]:
        return [actor for actor in self.actors if actor.start_s <= self._now_s < actor.end_s]

    def detect(self, frame: np.ndarray) -> list[FaceBox]:
        assert frame.shape == (HEIGHT_PX, WIDTH_PX, 3)
        self.calls += 1
        return [] if self._now_s in self.missed else [actor.box() for actor in self.present()]
