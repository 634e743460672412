"""Reads a YAML file as plain values; what is not clear in it is refused."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from edge_app.errors import ConfigError

# What PyYAML lets through: wrong dates and numbers, explicit tags on values that do not fit them,
# nesting deeper than the interpreter's stack.
_LEAKS = (ValueError, LookupError, AttributeError, RecursionError)


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice (YAML would silently keep the last)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping, each key once."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _wrong(key_node, "a key must be text, not a list or mapping")
            if key in seen:
                raise _wrong(key_node, f"key {key!r} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _wrong(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def read_yaml(path: Path) -> object:
    """Return what a YAML file holds, None when it is empty.

    Args:
        path: the file.

    Raises:
        ConfigError: no such file, or not YAML that can be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot be read: {getattr(error, 'strerror', None) or error}",
            source=str(path),
            next_step="Name a YAML file such as device_configs/demo.yaml",
        ) from error
    try:
        document: object = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, *_LEAKS) as error:
        deep = isinstance(error, RecursionError)
        said = " ".join(str(error).replace('in "<unicode string>", ', "in ").split())
        what = "nested too deeply" if deep else f"not valid YAML: {said}"
        raise ConfigError(
            what,
            source=str(path),
            next_step="Correct the file; device_configs/ holds examples that load",
        ) from error
    return document
