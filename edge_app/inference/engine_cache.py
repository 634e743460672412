"""Engines and timing caches on disk, each under the key of all that it depends on.

An engine is code for one GPU: it is read from this folder alone, which belongs to its user, never
from a bundle. The hash beside it finds damage; against somebody who can write here it is no guard.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from edge_app.errors import InferenceError
from edge_app.inference.engine import EngineKey

logger = logging.getLogger(__name__)


def default_folder() -> Path:
    """Return ``$BEDSIDE_ENGINES``, or ``bedside/engines`` in the user's cache folder."""
    if given := os.environ.get("BEDSIDE_ENGINES"):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "bedside" / "engines"


class EngineCache:
    """A folder of engines.

    Args:
        folder: made at the first write, readable by its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def in_use(self) -> bool:
        """Whether engines were ever built here, for any model or system."""
        return any(self.folder.glob("*.engine"))

    def path(self, key: EngineKey) -> Path:
        """Return where the engine of a key stands or would stand."""
        return self.folder / f"{_stem(key)}-{key.digest[:16]}.engine"

    def read(self, key: EngineKey) -> bytes | None:
        """Return the engine of a key, or None when there is none or it is damaged (logged)."""
        path = self.path(key)
        try:
            note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            engine = path.read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("%s: the engine cannot be read: %s", path, error)
            return None
        if note != _note(key, engine):
            logger.warning("%s: the engine is damaged: it is not what was built", path)
            return None
        return engine

    def write(self, key: EngineKey, engine: bytes) -> None:
        """Store an engine, and remove those of the same model and precision that are outdated.

        Args:
            key: all that it depends on.
            engine: serialised.

        Raises:
            InferenceError: the folder cannot be written to.
        """
        path = self.path(key)
        self._put(path, engine)
        self._put(path.with_suffix(".json"), json.dumps(_note(key, engine), indent=1).encode())
        for old in self.folder.glob(f"{_stem(key)}-*"):
            if old.stem != path.stem:
                old.unlink(missing_ok=True)

    def read_timing(self, key: EngineKey) -> bytes:
        """Return the timing cache of a key's machine, empty when there is none."""
        try:
            return self._timing(key).read_bytes()
        except OSError:
            return b""

    def write_timing(self, key: EngineKey, timing: bytes) -> None:
        """Store the timing cache of a key's machine.

        Args:
            key: of any engine built there.
            timing: serialised.

        Raises:
            InferenceError: the folder cannot be written to.
        """
        self._put(self._timing(key), timing)

    def _timing(self, key: EngineKey) -> Path:
        parts = (key.tensorrt, key.gpu, key.compute_capability, key.l4t)
        return self.folder / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}.timing"

    def _put(self, path: Path, content: bytes) -> None:
        """Write a whole file or none."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as part:
                try:
                    part.write(content)
                    part.flush()
                    os.fsync(part.fileno())
                    Path(part.name).replace(path)
                except OSError:
                    Path(part.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise InferenceError(
                f"engines cannot be kept here: {error}",
                source=str(self.folder),
                next_step="Set BEDSIDE_ENGINES to a folder that can be written to",
            ) from error


def _note(key: EngineKey, engine: bytes) -> dict[str, object]:
    """Return what is kept beside an engine to know it again."""
    return {"key": asdict(key), "sha256": hashlib.sha256(engine).hexdigest()}


def _stem(key: EngineKey) -> str:
    return f"{key.model_sha256[:16]}-{key.precision}"
