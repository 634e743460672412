"""liblsl itself: finding and loading it, and choosing once a process which outlets it sees."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from edge_app.errors import ConfigError, SourceError

ResolveScope = Literal["machine", "link", "site", "organization", "global"]
SCOPES = ("machine", "link", "site", "organization", "global")
DEFAULT_SCOPE: ResolveScope = "link"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LSL = "Lab Streaming Layer"

# Searching every 0.4 s instead of every 1.75 s, and comparing the clocks in 0.26 s instead of
# 0.64 s: with liblsl's own values an outlet that is back delivers only after two seconds. An answer
# that is slow still counts for 3 s, and there are as many probes of the clock as ever. Of several
# outlets on one machine only one hears the first question; the others are asked directly after
# MulticastMinRTT (measured).
_TUNING = """[tuning]
MulticastMinRTT = 0.1
UnicastMinRTT = 0.2
ContinuousResolveInterval = 0.1
TimeProbeInterval = 0.016
"""

# liblsl takes its settings once, at its first use, for the whole process, and cannot be asked
# which it took. So the first request has to be remembered as long: the one mutable state of a
# module in this package.
_lock = threading.Lock()
_requested: list[LslNetwork] = []


@dataclass(frozen=True, slots=True)
class LslNetwork:
    """Which outlets this process hears.

    LSL has neither authentication nor encryption. A session is a word that both sides have in their
    settings: it keeps two beds on one network apart by agreement, not by force.

    Args:
        session: outlets and inlets of another session are invisible; None: liblsl's own,
            ``default``, in which every program without settings is.
        known_peers: hosts asked directly, by name or IPv4 address, where a network passes no
            broadcast (many wireless ones) or the outlet is in another subnet.
        resolve_scope: how far the search goes: ``machine`` (this one only), ``link`` (the subnet),
            ``site`` (through routers that pass multicast), ``organization``, ``global``; None:
            ``link``, because a bed's sensors are in its own subnet, and liblsl's ``site`` would
            hear the ward.

    Raises:
        ConfigError: a name with anything but letters, digits, dot, dash and underscore, or an
            unknown scope.
    """

    session: str | None = None
    known_peers: tuple[str, ...] = ()
    resolve_scope: ResolveScope | None = None

    def __post_init__(self) -> None:
        names = [*([] if self.session is None else [self.session]), *self.known_peers]
        wrong = [name for name in names if not _NAME.fullmatch(name)]
        if wrong or self.resolve_scope not in (None, *SCOPES):
            raise ConfigError(
                "an LSL session, peer or scope that cannot be used",
                source=_LSL,
                expected=f"letters, digits, . - _, and a scope of {', '.join(SCOPES)}",
                got=", ".join(wrong) or self.resolve_scope,
                next_step="Correct the network settings of the LSL source",
            )

    @property
    def settings(self) -> str:
        """The settings as liblsl reads them; IPv4 only, so that every search is made once."""
        lab = "" if self.session is None else f"SessionID = {self.session}\n"
        scope, peers = self.resolve_scope or DEFAULT_SCOPE, self.known_peers
        if scope == "machine":  # before 1.18 only one outlet of a machine hears the question
            peers = ("127.0.0.1", *peers)
        lab += f"KnownPeers = {{{', '.join(peers)}}}\n" if peers else ""
        return (
            "[log]\nlevel = -3\n[ports]\nIPv6 = disable\n"
            f"[multicast]\nResolveScope = {scope}\n"
            f"[lab]\n{lab}{_TUNING}"
        )

    def __str__(self) -> str:
        said = "no session" if self.session is None else f"session {self.session}"
        peers = f", peers {', '.join(self.known_peers)}" if self.known_peers else ""
        return f"{said}, scope {self.resolve_scope or DEFAULT_SCOPE}{peers}"


@dataclass(frozen=True, slots=True)
class LiblslFacts:
    """Which liblsl is in use.

    Args:
        path: the library's file.
        version: such as ``1.18``.
        origin: who brought it: ``PYLSL_LIB``, ``pylsl``, ``mne_lsl`` or ``system``.
        pylsl_version: version of the Python side.
    """

    path: str
    version: str
    origin: str
    pylsl_version: str


def load_pylsl() -> Any:
    """Import pylsl, and with it liblsl.

    The library is the one named by PYLSL_LIB, else what pylsl finds (its own, then the system's),
    else the one inside an installed mne_lsl: pylsl's wheels for aarch64 carry none, those of
    mne-lsl do.

    Raises:
        SourceError: no pylsl, or none of them can be loaded.
    """
    with _lock:  # another thread may be in the middle of importing it
        if "pylsl" in sys.modules:
            return sys.modules["pylsl"]
        named = os.environ.get("PYLSL_LIB")
        tried = [f"PYLSL_LIB: {named or 'not set'}"]
        if named and not Path(named).is_file():  # pylsl would pass over it without a word
            raise _not_loaded(f"PYLSL_LIB names no file: {named}", tried)
        try:
            return _import_pylsl()
        except ModuleNotFoundError as error:
            raise _not_loaded(
                f"{error.name} is not installed", tried, "pip install pylsl"
            ) from error
        except (ImportError, OSError, RuntimeError) as error:
            tried.append(f"pylsl and the system: {(str(error) or repr(error)).splitlines()[0]}")
            if named:
                raise _not_loaded("the library named by PYLSL_LIB", tried) from error
        inside = _mne_lsl_library()
        tried.append(f"mne_lsl: {inside or 'not installed'}")
        if inside is None:
            raise _not_loaded("there is none", tried)
        os.environ["PYLSL_LIB"] = str(inside)
        try:
            return _import_pylsl()
        except (ImportError, OSError, RuntimeError) as error:
            raise _not_loaded("that of mne_lsl is not for this machine", tried) from error
        finally:
            del os.environ["PYLSL_LIB"]


def liblsl_facts() -> LiblslFacts:
    """Return which liblsl is in use.

    Raises:
        SourceError: no liblsl.
    """
    pylsl = load_pylsl()
    path = str(pylsl.lib.libpath)
    inside = _mne_lsl_library()
    if path == os.environ.get("PYLSL_LIB"):
        origin = "PYLSL_LIB"
    elif inside is not None and path == str(inside):
        origin = "mne_lsl"
    else:
        packaged = Path(pylsl.__file__).parent in Path(path).parents
        origin = "pylsl" if packaged else "system"
    major, minor = divmod(int(pylsl.library_version()), 100)
    return LiblslFacts(path, f"{major}.{minor}", origin, str(pylsl.__version__))


def configure_liblsl(network: LslNetwork | None = None) -> None:
    """Quieten liblsl and choose which outlets it sees.

    Call it before any other use of liblsl. A simulated outlet must never be taken for a patient's,
    so simulations have a session of their own, on this machine only.

    Args:
        network: None and ``LslNetwork()`` are the same. A settings file named by LSLAPICFG takes
            the place of it all.

    Raises:
        ConfigError: this process already uses another network, or LSLAPICFG contradicts.
        SourceError: no liblsl.
    """
    network = network or LslNetwork()
    pylsl = load_pylsl()
    with _lock:
        if not _requested:
            _apply(pylsl, network)
            _requested.append(network)
        if _requested[0] != network:
            raise ConfigError(
                "one process can use one LSL session and network only",
                source=_LSL,
                expected=_requested[0],
                got=network,
                next_step="Run them as two devices, each in a process of its own",
            )


def _apply(pylsl: Any, network: LslNetwork) -> None:
    if "LSLAPICFG" in os.environ:
        if network != LslNetwork():
            raise ConfigError(
                f"the settings file named by LSLAPICFG and the network ({network}) exclude each "
                "other",
                source=_LSL,
                got=os.environ["LSLAPICFG"],
                next_step="Unset LSLAPICFG, or leave session, peers and scope to that file",
            )
        return
    try:
        pylsl.set_config_content(network.settings)
    except NotImplementedError:  # liblsl before 1.17.7, such as mne-lsl 1.12 has for JetPack 6
        _apply_by_file(pylsl, network.settings)


def _apply_by_file(pylsl: Any, settings: str) -> None:
    """Let liblsl read its settings from a file, which it does at its first use."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lsl_api.cfg"
        path.write_text(settings, encoding="utf-8")
        os.environ["LSLAPICFG"] = str(path)
        try:
            pylsl.ContinuousResolver()  # the first use
        finally:
            del os.environ["LSLAPICFG"]


def _import_pylsl() -> Any:
    for name in [name for name in sys.modules if name.split(".")[0] == "pylsl"]:
        del sys.modules[name]  # left by an attempt that failed
    import pylsl

    return pylsl


def _mne_lsl_library() -> Path | None:
    """Return liblsl as the mne-lsl wheel carries it; finding a package does not import it."""
    found = None
    with contextlib.suppress(ImportError, ValueError):
        found = find_spec("mne_lsl")
    folders = [] if found is None else list(found.submodule_search_locations or [])
    libraries = [p for folder in folders for p in Path(folder).glob("lsl/lib/liblsl*.so*")]
    return max(libraries, default=None)


def _not_loaded(problem: str, tried: list[str], install: str = "") -> SourceError:
    on_jetpack_6 = sys.version_info < (3, 11)
    wheel = install or f"pip install mne-lsl{'==1.12.0' if on_jetpack_6 else ''}"
    return SourceError(
        f"liblsl cannot be loaded: {problem}",
        source=_LSL,
        got="; ".join(tried),
        next_step=f"`{wheel}`, or install the liblsl package of github.com/sccn/liblsl, or set "
        "PYLSL_LIB to a liblsl.so",
    )
