"""Bluetooth's many ways to fail, each as one sentence and the command that mends it.

BlueZ answers over D-Bus, bleak turns some answers into exceptions of its own and passes the rest
on, and a missing D-Bus is an ``OSError``: all of it is told apart here and nowhere else. What may
come back by itself (sensor, adapter, D-Bus) is ``SourceNotFoundError``; what somebody has to put
right (pairing, permission) is ``SourceError``.
"""

from __future__ import annotations

import asyncio

from edge_app.errors import SourceError, SourceNotFoundError

PAIR = (
    "Pair it once in `bluetoothctl`: `scan on`, `pair ADDRESS`, `trust ADDRESS`, with the address "
    "that is configured"
)
_START_DBUS = (
    "Start it with `sudo systemctl start dbus`; in a container pass /run/dbus/system_bus_socket on"
)
_START_BLUEZ = (
    "Install and start it: `sudo apt-get install bluez`, `sudo systemctl start bluetooth`"
)
_PLUG_IN = "Plug one in, or correct `adapter`; `bluetoothctl list` shows what is there"
_POWER_ON = "Switch it on: `sudo rfkill unblock bluetooth`, `bluetoothctl power on`"
_ALLOW = "Allow it: `sudo usermod -aG bluetooth $USER`, then log in again"
_NEARER = "See that it is switched on, near, and connected to nothing else; it is tried again"

_NO_BLUEZ = ("ServiceUnknown", "NameHasNoOwner", "Spawn.", "TimedOut")
_DENIED = ("Error.AccessDenied", "AuthFailed")
_OFF = ("Error.NotReady",)
_NO_ADAPTER = ("adapter '", "No Bluetooth adapters found", "NoSuchAdapter")
_PAIRING = (
    "AuthenticationFailed",
    "AuthenticationCanceled",
    "AuthenticationRejected",
    "AuthenticationTimeout",
    "NotPaired",
    "Not paired",
    "Insufficient Authentication",
    "Insufficient Encryption",
    "Insufficient Authorization",
    "PIN or Key Missing",
)


def bluetooth_error(error: BaseException, *, source: str) -> SourceError:
    """Return what went wrong and what mends it.

    Args:
        error: from bleak, bleak-retry-connector, dbus-fast or the operating system.
        source: the stream concerned.

    Returns:
        The error itself when it is a SourceError already.
    """
    if isinstance(error, SourceError):
        return error
    causes = _causes(error)
    whole, said = "; ".join(causes), causes[-1]
    for kind, marks, problem, next_step in (
        (SourceError, _PAIRING, "the sensor wants to be paired first", PAIR),
        (SourceError, _DENIED, "this user may not use Bluetooth", _ALLOW),
        (SourceNotFoundError, _NO_ADAPTER, "there is no such Bluetooth adapter", _PLUG_IN),
        (SourceNotFoundError, _OFF, "the Bluetooth adapter is switched off", _POWER_ON),
        (SourceNotFoundError, _NO_BLUEZ, "BlueZ does not run on this machine", _START_BLUEZ),
    ):
        if any(mark in whole for mark in marks):
            return kind(problem, source=source, got=said, next_step=next_step)
    return _by_type(error, said, source)


def _causes(error: BaseException) -> list[str]:
    """Return the error's text and those of its causes, the first cause last."""
    causes: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if len(cause.args) > 1 and text == str(cause.args):  # no text of its own: bleak adds codes
            text = next((part for part in cause.args if isinstance(part, str)), text)
        causes.append(text or type(cause).__name__)
        cause = cause.__cause__
    return causes


def _by_type(error: BaseException, said: str, source: str) -> SourceError:
    from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason
    from dbus_fast.errors import AuthError

    if isinstance(error, BleakBluetoothNotAvailableError):
        reason = BleakBluetoothNotAvailableReason
        if error.reason is reason.POWERED_OFF:
            problem, next_step = "the Bluetooth adapter is switched off", _POWER_ON
        elif error.reason in (reason.NO_BLUETOOTH, reason.NO_BLE_CENTRAL_ROLE):
            problem, next_step = "there is no Bluetooth adapter that can do low energy", _PLUG_IN
        else:
            return SourceError(
                "this user may not use Bluetooth", source=source, got=said, next_step=_ALLOW
            )
        return SourceNotFoundError(problem, source=source, got=said, next_step=next_step)
    if isinstance(error, AuthError | PermissionError):
        return SourceError("this user may not use D-Bus", source=source, got=said, next_step=_ALLOW)
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return SourceNotFoundError(
            "the sensor did not answer in time", source=source, next_step=_NEARER
        )
    if isinstance(error, OSError | EOFError):
        return SourceNotFoundError(
            "D-Bus, through which BlueZ is reached, does not answer",
            source=source,
            got=said,
            next_step=_START_DBUS,
        )
    return SourceNotFoundError(
        "the sensor could not be reached", source=source, got=said, next_step=_NEARER
    )
