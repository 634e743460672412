"""liblsl itself: loading it, and choosing once a process which outlets it sees."""

from __future__ import annotations

import os
import threading
from typing import Any

from edge_app.errors import ConfigError, SourceError

# liblsl takes its settings once, at its first use, for the whole process, and cannot be asked
# which it took. So the first request has to be remembered as long: the one mutable state of a
# module in this package.
_lock = threading.Lock()
_requested: list[str | None] = []


def load_pylsl() -> Any:
    """Import pylsl, and with it liblsl.

    Raises:
        SourceError: pylsl finds no liblsl (its aarch64 wheels carry none).
    """
    try:
        import pylsl
    except (ImportError, OSError, RuntimeError) as error:
        raise SourceError(
            f"liblsl cannot be loaded: {str(error).splitlines()[0] if str(error) else error!r}",
            source="Lab Streaming Layer",
            next_step="Install liblsl, or set PYLSL_LIB to a liblsl.so (the mne-lsl wheel has one)",
        ) from error
    return pylsl


def configure_liblsl(session: str | None = None) -> None:
    """Quieten liblsl, and with a session let it see only that session on this machine.

    Call it before any other use of liblsl. LSL has no authentication: a simulated outlet must
    never be taken for a patient's, so simulations have a session of their own.

    Args:
        session: outlets and inlets of another session are invisible; None: all in reach, or what
            a settings file named by LSLAPICFG says.

    Raises:
        ConfigError: this process already uses another session, or LSLAPICFG contradicts.
        SourceError: no liblsl.
    """
    pylsl = load_pylsl()
    with _lock:
        if not _requested:
            _apply(pylsl, session)
            _requested.append(session)
        if _requested[0] != session:
            raise ConfigError(
                "one process can use one LSL session only",
                source="Lab Streaming Layer",
                expected=_said(_requested[0]),
                got=_said(session),
                next_step="Run them as two devices, each in a process of its own",
            )


def _apply(pylsl: Any, session: str | None) -> None:
    if "LSLAPICFG" not in os.environ:
        content = "[log]\nlevel = -2\n"
        if session is not None:
            content += f"[multicast]\nResolveScope = machine\n[lab]\nSessionID = {session}\n"
            content += "[ports]\nIPv6 = disable\n"
        pylsl.set_config_content(content)
    elif session is not None:
        raise ConfigError(
            f"the settings file named by LSLAPICFG and the session {session!r} exclude each other",
            source="Lab Streaming Layer",
            got=os.environ["LSLAPICFG"],
            next_step="Unset LSLAPICFG, or leave the session to that file",
        )


def _said(session: str | None) -> str:
    return "all streams in reach" if session is None else f"session {session}"
