"""The charge of a sensor's battery, asked for now and then while it streams."""

from __future__ import annotations

from concurrent.futures import Future

from edge_app.sources.ble_link import BleLink
from edge_app.sources.ble_radio import Radio
from edge_app.sources.imu_protocols.protocol import ImuProtocol

ASK_EVERY_S = 300.0


class BatteryWatch:
    """Asks for the charge without waiting for the answer.

    Args:
        radio: asks, in its loop.
        protocol: the started sensor's.
        link: to the sensor.
    """

    def __init__(self, radio: Radio, protocol: ImuProtocol, link: BleLink) -> None:
        self._radio = radio
        self._protocol = protocol
        self._link = link
        self._due_s = 0.0
        self._asked: Future[float | None] | None = None
        self._percent: float | None = None

    def percent(self, now_s: float) -> float | None:
        """Ask when it is time.

        Args:
            now_s: ``time.monotonic``.

        Returns:
            The newest answer, None when there is none.
        """
        asked = self._asked
        if asked is not None and asked.done():
            self._asked = None
            if not asked.cancelled() and asked.exception() is None:
                self._percent = asked.result()
        if self._asked is None and now_s >= self._due_s:
            self._due_s = now_s + ASK_EVERY_S
            self._asked = self._radio.start(self._protocol.battery_percent(self._link))
        return self._percent
