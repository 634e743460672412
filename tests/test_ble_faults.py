"""Each fault of a Bluetooth sensor: what is told, the gap it leaves, that data and neighbour go on.

bleak's real BlueZ backend talks to a fake org.bluez. Limits of time are generous, for machines that
run these tests are shared; ``benchmarks/ble_faults.py`` prints what they really are.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import numpy as np
import pytest

from edge_app.contracts import Chunk
from edge_app.errors import SourceError, SourceLostError, SourceNotFoundError
from edge_app.sources.ble_imu import BleImuSource
from edge_app.sources.protocol import Source
from tests.ble_feed import Feed
from tests.fake_bluez import (
    Bluez,
    Rig,
    SensorSpec,
    ble_source,
    bluez,  # noqa: F401 - the fixture
    needs_dbus,
    wait_until,
)
from tests.imu_sensors import make_sensor

pytestmark = [pytest.mark.bluez, needs_dbus]

LEFT = SensorSpec("movella_dot", "D4:22:CD:00:00:01")
RIGHT = SensorSpec("movella_dot", "D4:22:CD:00:00:02", seed=1)
PAUSE_S = 1.5
"""A neighbour's chunks may be this far apart at most on a busy machine."""
ENOUGH = 20
"""Samples that show that data flows."""


class Pair:
    """Two sensors of one rig, both read; the left one is to fail."""

    def __init__(self, rig: Rig, left: Feed, right: Feed) -> None:
        self.rig, self.left, self.right = rig, left, right
        self.began_s = time.monotonic()

    def wait_for_both(self) -> None:
        for feed in (self.left, self.right):
            wait_until(lambda feed=feed: feed.came_since(0.0) > ENOUGH)
        self.began_s = time.monotonic()

    def fail(self, do: str, **order: object) -> float:
        """Make the left sensor fail; return when."""
        at_s = time.monotonic()
        self.rig.command(do, address=LEFT.address, **order)
        return at_s

    def wait_until_back(self, since_s: float, within_s: float = 30.0) -> None:
        """Wait for new samples after an error."""
        wait_until(lambda: any(n.error and n.at_s >= since_s for n in self.left.noted), within_s)
        error_s = next(n.at_s for n in self.left.noted if n.error and n.at_s >= since_s)
        wait_until(lambda: self.left.came_since(error_s + 0.01) > ENOUGH, within_s)

    def assert_neighbour_went_on(self) -> None:
        assert self.right.largest_pause_s(self.began_s, time.monotonic()) < PAUSE_S
        assert self.right.told_since(self.began_s) == ""
        assert self.right.windows()[1].gaps == 0

    def assert_gap_shows(self) -> None:
        """The silence is a gap on the windows' grid, and what it touches is marked."""
        windows, counts = self.left.windows(10)
        assert counts.gaps >= 1
        steps_s = np.diff(self.left.times_s)
        hole = int(np.argmax(steps_s))
        from_s, to_s = self.left.times_s[hole], self.left.times_s[hole + 1]
        touched = [w for w in windows if w.end_s > from_s + 0.1 and w.start_s < to_s - 0.1]
        assert touched
        assert all(w.missing_fraction > 0 for w in touched)
        assert self.left.info is not None
        expected = self.left.info.rate_hz * (to_s - from_s)
        assert counts.missing_samples == pytest.approx(expected, rel=0.2, abs=10)


@pytest.fixture
def pair(bluez: Bluez) -> Iterator[Pair]:  # noqa: F811
    rig = bluez.rig(LEFT, RIGHT)
    radio = bluez.radio
    with contextlib.ExitStack() as stack:
        feeds = [
            stack.enter_context(Feed(lambda spec=spec: ble_source(spec, radio=radio)))
            for spec in (LEFT, RIGHT)
        ]
        both = Pair(rig, *feeds)
        both.wait_for_both()
        yield both


def first_error(feed: Feed, problem: str) -> SourceError:
    """Wait for an error of this kind; a loaded machine may meet another one before it."""
    wait_until(lambda: any(problem in error.problem for error in feed.errors))
    return next(error for error in feed.errors if problem in error.problem)


def test_link_lost(pair: Pair) -> None:
    at_s = pair.fail("drop_link")
    pair.wait_until_back(at_s)
    assert "link" in pair.left.told_since(at_s)
    assert isinstance(pair.left.errors[0], SourceLostError)
    pair.assert_gap_shows()
    pair.assert_neighbour_went_on()


def test_zombie_link(pair: Pair) -> None:
    """BlueZ says connected, nothing comes: told as silence, given up, made anew."""
    at_s = pair.fail("set", muted=True)
    wait_until(lambda: "no samples for 1 s" in pair.left.told_since(at_s))
    assert pair.rig.command("state", address=LEFT.address)["connected"]
    pair.wait_until_back(at_s)
    assert isinstance(pair.left.errors[0], SourceLostError)
    assert "though the link looks connected" in pair.left.errors[0].problem
    pair.assert_gap_shows()
    pair.assert_neighbour_went_on()


def test_sensor_reboot(pair: Pair) -> None:
    """Its clock begins at zero again: the stamps go on with the host's time all the same."""
    at_s = pair.fail("reboot", off_s=0.5)
    pair.wait_until_back(at_s)
    assert (np.diff(pair.left.times_s) > 0).all()
    assert pair.left.times_s[-1] <= time.monotonic() + 0.1
    pair.assert_gap_shows()
    pair.assert_neighbour_went_on()


def test_wrong_uuid(pair: Pair) -> None:
    """Another service table after a reboot, as with other firmware; and right again."""
    pair.fail("set", wrong_table=True)
    at_s = pair.fail("drop_link")
    wrong = first_error(pair.left, "does not speak the protocol")
    assert "00002a19-0000-1000-8000-00805f9b34fb" in wrong.got
    assert not isinstance(wrong, SourceNotFoundError)  # nothing that comes back by itself
    pair.fail("set", wrong_table=False)
    pair.wait_until_back(at_s)
    pair.assert_neighbour_went_on()


def test_adapter_gone(pair: Pair) -> None:
    at_s = time.monotonic()
    pair.rig.command("remove_adapter", name="hci0")
    wait_until(lambda: any("adapter" in str(e) for e in pair.left.errors))
    time.sleep(0.5)
    pair.rig.command("return_adapter", name="hci0")
    back_s = time.monotonic()
    wait_until(
        lambda: pair.left.came_since(back_s) > ENOUGH and pair.right.came_since(back_s) > ENOUGH
    )
    assert "no samples" in pair.left.told_since(at_s) or "link" in pair.left.told_since(at_s)
    pair.assert_gap_shows()


def test_adapter_switched_off(pair: Pair) -> None:
    pair.rig.command("power", name="hci0", on=False)
    wait_until(lambda: any("switched off" in str(e) for e in pair.left.errors))
    error = next(e for e in pair.left.errors if "switched off" in e.problem)
    assert "rfkill unblock bluetooth" in error.next_step
    pair.rig.command("power", name="hci0", on=True)
    back_s = time.monotonic()
    wait_until(lambda: pair.left.came_since(back_s) > ENOUGH)


def test_d_bus_restart(pair: Pair) -> None:
    at_s = time.monotonic()
    pair.rig.stop()
    wait_until(lambda: any("D-Bus" in str(e) for e in pair.left.errors))
    assert "link" in pair.left.told_since(at_s)
    assert any("systemctl start dbus" in e.next_step for e in pair.left.errors)
    pair.rig.start()
    back_s = time.monotonic()
    wait_until(
        lambda: pair.left.came_since(back_s) > ENOUGH and pair.right.came_since(back_s) > ENOUGH
    )
    assert pair.rig.command("figures")["bus_connections"] == 4  # fake, radio, two links
    pair.assert_gap_shows()


def test_bluez_stopped(pair: Pair) -> None:
    """The bus stays, org.bluez leaves it: bluetoothd crashed."""
    pair.rig.stop_bluez()
    wait_until(lambda: any("BlueZ does not run" in str(e) for e in pair.left.errors))
    assert any("BlueZ does not know of the link" in str(e) for e in pair.left.errors)
    pair.rig.start_bluez()
    back_s = time.monotonic()
    wait_until(
        lambda: pair.left.came_since(back_s) > ENOUGH and pair.right.came_since(back_s) > ENOUGH
    )


def test_connect_refused(pair: Pair) -> None:
    pair.fail("set", refuse_connects=3)
    at_s = pair.fail("drop_link")
    pair.wait_until_back(at_s)
    assert pair.rig.command("state", address=LEFT.address)["refuse_connects"] == 0
    pair.assert_gap_shows()
    pair.assert_neighbour_went_on()


def test_a_neighbour_whose_connect_hangs(pair: Pair) -> None:
    """The left sensor's Connect never ends; the right one loses its link and must be back soon."""
    pair.fail("set", hang_connects=1000)
    pair.fail("drop_link")
    wait_until(lambda: pair.left.errors)
    time.sleep(1.0)  # the left one is connecting, and will be for long
    assert not pair.rig.command("state", address=LEFT.address)["connected"]
    at_s = time.monotonic()
    pair.rig.command("drop_link", address=RIGHT.address)
    wait_until(lambda: pair.right.came_since(at_s + 0.5) > ENOUGH)
    assert pair.rig.command("figures")["most_connecting"] == 1
    pair.fail("set", hang_connects=0)
    back_s = time.monotonic()
    wait_until(lambda: pair.left.came_since(back_s) > ENOUGH, 40.0)


def test_out_of_range_and_back(pair: Pair) -> None:
    at_s = pair.fail("set", in_range=False)
    wait_until(lambda: any(n.text == "the sensor is being looked for" for n in pair.left.noted))
    pair.fail("set", in_range=True)
    pair.wait_until_back(at_s)
    assert pair.left.noted[-1].text == ""  # the trouble is over, and was told to be
    pair.assert_gap_shows()
    pair.assert_neighbour_went_on()


def test_a_sensor_that_wants_to_be_paired(pair: Pair) -> None:
    pair.fail("set", needs_pairing=True)
    pair.fail("drop_link")
    refused = first_error(pair.left, "paired")
    assert all(word in refused.next_step for word in ("bluetoothctl", "pair ", "trust "))
    pair.fail("set", paired=True)
    back_s = time.monotonic()
    wait_until(lambda: pair.left.came_since(back_s) > ENOUGH)
    pair.assert_neighbour_went_on()


def one_feed(bluez: Bluez, spec: SensorSpec, **settings: object) -> Feed:  # noqa: F811
    radio = bluez.radio

    def make() -> Source:
        return ble_source(spec, radio=radio, **settings)

    return Feed(make)


DISTORTED = [
    ("movella_dot", "truncate", "lost"),
    ("movella_dot", "merge", ""),
    ("movella_dot", "split", ""),
    ("movella_dot", "reorder", None),
    ("movella_dot", "repeat", None),
    ("witmotion", "truncate", "lost"),
    ("witmotion", "merge", ""),
    ("witmotion", "split", ""),
]


@pytest.mark.parametrize(("sensor", "fault", "told"), DISTORTED)
def test_distorted_notifications(
    bluez: Bluez,  # noqa: F811
    sensor: str,
    fault: str,
    told: str | None,
) -> None:
    """A fifth of all packets is distorted: what is delivered is true, in order, at its own time.

    The motion is known and repeats after 10 s only, so each sample tells its own number.
    """
    spec = SensorSpec(sensor, faults={fault: 0.2})
    bluez.rig(spec)
    with one_feed(bluez, spec) as feed:
        wait_until(lambda: feed.info is not None)
        assert feed.info is not None
        rate_hz = feed.info.rate_hz
        wait_until(lambda: feed.came_since(0.0) > 2.5 * rate_hz)
    assert feed.errors == []
    sim = make_sensor(sensor, rate_hz=rate_hz)
    truth = np.stack([sim.truth(k) for k in range(int(9 * rate_hz))])
    distance = np.abs(feed.samples[:, None, :] - truth[None]).max(axis=2)
    number = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 0.02  # nothing is made up from damaged packets
    assert (np.diff(number) > 0).all()
    late_s = feed.times_s - number / rate_hz
    # A WitMotion sends neither time nor counter: what is lost cannot be placed, the rest shifts.
    assert np.ptp(late_s) < (0.5 if (sensor, fault) == ("witmotion", "truncate") else 0.1)
    if told is not None:
        assert told in feed.told_since(0.0) if told else feed.told_since(0.0) == ""


def test_timestamp_wrap(bluez: Bluez) -> None:  # noqa: F811
    """The device clock wraps while the stream runs: no gap, no jump."""
    spec = SensorSpec("movella_dot", faults={"wrap_soon": True})
    bluez.rig(spec)
    with one_feed(bluez, spec) as feed:
        wait_until(lambda: feed.came_since(0.0) > 210)  # it wraps after three seconds
    assert feed.errors == []
    steps_s = np.diff(feed.times_s)
    assert steps_s == pytest.approx(1 / 60, abs=0.01)
    assert feed.windows()[1].gaps == 0


def test_lost_packets_are_gaps(bluez: Bluez) -> None:  # noqa: F811
    spec = SensorSpec("movella_dot")
    rig = bluez.rig(spec)
    with one_feed(bluez, spec) as feed:
        wait_until(lambda: feed.came_since(0.0) > 30)
        rig.command("set", address=spec.address, drop_fraction=0.2)
        at_s = time.monotonic()
        wait_until(lambda: feed.came_since(at_s) > 120)
        wait_until(lambda: feed.told_since(at_s) != "")
    assert feed.errors == []
    steps = np.diff(feed.times_s[feed.times_s > at_s]) * 60.0
    assert (steps > 1.5).mean() == pytest.approx(0.2, abs=0.1)
    assert feed.windows(10)[1].missing_samples > 12


def test_batched_notifications_are_no_gap(bluez: Bluez) -> None:  # noqa: F811
    """Held for 50 ms and sent together, as over a long connection interval."""
    spec = SensorSpec("movella_dot")
    rig = bluez.rig(spec)
    rig.command("set", address=spec.address, hold_s=0.05)
    with one_feed(bluez, spec) as feed:
        wait_until(lambda: feed.came_since(0.0) > 120)
    assert feed.errors == []
    assert feed.windows()[1].gaps == 0


def test_a_slow_reader_costs_counted_packets_and_a_gap(bluez: Bluez) -> None:  # noqa: F811
    spec = SensorSpec("movella_dot")
    bluez.rig(spec)
    radio = bluez.radio

    class Slow(list[tuple[float, Chunk]]):
        def append(self, item: tuple[float, Chunk]) -> None:
            super().append(item)
            if len(self) == 30:
                time.sleep(1.2)

    feed = Feed(lambda: ble_source(spec, radio=radio, queue_packets=10))
    feed.chunks = Slow()
    with feed:
        wait_until(lambda: feed.came_since(0.0) > 120)
        assert feed.source is not None
        wait_until(lambda: feed.source.dropped > 0)
        dropped = feed.source.dropped
    assert feed.errors == []
    assert "too slow" in feed.told_since(0.0)
    assert dropped == pytest.approx(1.2 * 60 - 10, abs=30)
    assert feed.windows(10)[1].missing_samples == pytest.approx(dropped, abs=3)


def test_a_link_kept_from_a_crash_is_ended_first(bluez: Bluez) -> None:  # noqa: F811
    """BlueZ keeps the link of a program that died; the sensor does not advertise meanwhile."""
    spec = LEFT
    rig = bluez.rig(spec)
    rig.command("relink", address=spec.address)
    assert rig.command("state", address=spec.address)["connected"]
    with one_feed(bluez, spec) as feed:
        wait_until(lambda: feed.came_since(0.0) > 30)
    assert feed.errors == []


def open_error(source: BleImuSource) -> SourceError:
    async def attempt() -> SourceError:
        try:
            await source.open()
        except SourceError as error:
            return error
        finally:
            await source.close()
        raise AssertionError("it opened")

    return asyncio.run(attempt())


def test_several_sensors_of_the_protocol_are_refused(bluez: Bluez) -> None:  # noqa: F811
    bluez.rig(LEFT, RIGHT)
    error = open_error(bluez.source(LEFT, address=None))
    assert "several sensors" in error.problem
    assert "address" in error.next_step


def test_the_only_sensor_of_the_protocol_is_found_without_address(bluez: Bluez) -> None:  # noqa: F811
    bluez.rig(LEFT, SensorSpec("witmotion", "F1:00:00:00:00:09"))
    with Feed(lambda: bluez.source(LEFT, address=None)) as feed:
        wait_until(lambda: feed.came_since(0.0) > 30)
    assert feed.errors == []


def test_a_sensor_is_found_by_its_name(bluez: Bluez) -> None:  # noqa: F811
    right = SensorSpec("movella_dot", RIGHT.address, name="right foot")
    bluez.rig(LEFT, right)
    with Feed(lambda: bluez.source(LEFT, address=None, sensor_name="right foot")) as feed:
        wait_until(lambda: feed.came_since(0.0) > 30)
    assert feed.errors == []
    assert feed.info is not None
    assert "right foot" in feed.info.device


def test_two_streams_cannot_have_one_sensor(pair: Pair, bluez: Bluez) -> None:  # noqa: F811
    error = open_error(bluez.source(LEFT, scan_timeout_s=0.5))
    assert isinstance(error, SourceError)
    assert "another stream has this sensor" in error.problem
    pair.assert_neighbour_went_on()
    assert pair.left.errors == []


def test_an_absent_sensor_is_not_found(bluez: Bluez) -> None:  # noqa: F811
    bluez.rig(LEFT)
    error = open_error(bluez.source(RIGHT, scan_timeout_s=0.5))
    assert isinstance(error, SourceNotFoundError)
    assert "edge-app devices" in error.next_step
