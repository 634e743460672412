"""A link over a real attribute protocol (bumble): MTU, subscription, refusals, the queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from edge_app.errors import SourceError, SourceLostError
from edge_app.sources.ble_link import BleLink

pytest.importorskip("bumble")

from tests.bumble_rig import NOTIFY, REFUSED, WRITE, BumbleRig

pytestmark = pytest.mark.bumble


async def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        await asyncio.sleep(0.01)


async def linked(rig: BumbleRig, queue_packets: int = 100) -> BleLink:
    await rig.start()
    links: list[BleLink] = []
    client = await rig.connect(lambda gone: [link.on_disconnected(gone) for link in links])
    links.append(BleLink(client, source="foot", queue_packets=queue_packets))
    return links[0]


async def test_notifications_come_only_after_subscribing_and_are_stamped() -> None:
    rig = BumbleRig()
    link = await linked(rig)
    rig.sensor.notify(b"too early")
    await asyncio.sleep(0.05)
    assert link.take() == []
    before_s = time.monotonic()
    await link.subscribe(NOTIFY)
    await until(lambda: rig.sensor.subscribed)  # the sensor's own CCCD says so
    for k in range(3):
        rig.sensor.notify(bytes([k]) * 20)
    packets = []
    await until(lambda: packets.extend(link.take()) or len(packets) >= 3)
    assert [packet.data for packet in packets] == [bytes([k]) * 20 for k in range(3)]
    stamps = [packet.arrived_s for packet in packets]
    assert before_s < stamps[0] <= stamps[1] <= stamps[2] <= time.monotonic()
    assert {packet.uuid for packet in packets} == {NOTIFY}
    await link.close()


@pytest.mark.parametrize("mtu", [23, 247])
async def test_a_notification_is_cut_to_what_the_mtu_holds(mtu: int) -> None:
    """ATT carries MTU - 3 bytes: 20 at the default, and decoders must live with what is left."""
    rig = BumbleRig(mtu)
    link = await linked(rig)
    await link.subscribe(NOTIFY)
    sent = bytes(range(200))
    rig.sensor.notify(sent)
    packets = []
    await until(lambda: packets.extend(link.take()) or len(packets) >= 1)
    assert packets[0].data == sent[: mtu - 3]
    await link.close()


async def test_a_command_is_answered_by_a_notification() -> None:
    rig = BumbleRig()
    link = await linked(rig)
    await link.subscribe(NOTIFY)

    def answer(data: bytes) -> None:
        rig.sensor.notify(b"\x55\x61 data")
        rig.sensor.notify(b"\x55\x71" + data)

    rig.sensor.on_write = answer
    reply = await link.request(
        WRITE, b"\xff\xaa\x27", reply_uuid=NOTIFY, reply_starts=b"\x55\x71", timeout_s=5.0
    )
    assert reply == b"\x55\x71\xff\xaa\x27"
    assert rig.sensor.writes == [b"\xff\xaa\x27"]
    with pytest.raises(SourceError, match="did not answer a command") as caught:
        await link.request(WRITE, b"\x00", reply_uuid=NOTIFY, reply_starts=b"\x99", timeout_s=0.2)
    assert caught.value.expected == "a notification that starts with 99"
    await link.close()


async def test_a_refused_write_names_the_pairing_commands() -> None:
    rig = BumbleRig()
    link = await linked(rig)
    with pytest.raises(SourceError, match="paired first") as caught:
        await link.write(REFUSED, b"\x01", response=True)
    assert "bluetoothctl" in caught.value.next_step
    assert "trust" in caught.value.next_step
    await link.close()


async def test_a_wrong_uuid_lists_what_the_sensor_has() -> None:
    rig = BumbleRig()
    link = await linked(rig)
    wrong = "15172004-4947-11e9-8646-d663bd873d93"
    for use in (link.subscribe(wrong), link.read(wrong), link.write(wrong, b"\x00")):
        with pytest.raises(SourceError, match="does not speak the protocol") as caught:
            await use
        assert wrong in str(caught.value.expected)
        assert {NOTIFY, WRITE, REFUSED} <= set(caught.value.got)
    await link.close()


async def test_a_link_that_the_sensor_ends_is_known_at_once() -> None:
    rig = BumbleRig()
    link = await linked(rig)
    await link.subscribe(NOTIFY)
    asking = asyncio.ensure_future(
        link.request(WRITE, b"?", reply_uuid=NOTIFY, reply_starts=b"!", timeout_s=60.0)
    )
    await until(lambda: rig.sensor.writes == [b"?"])
    await rig.sensor.drop_link()
    with pytest.raises(SourceLostError, match="link"):
        await asyncio.wait_for(asking, 10.0)
    assert link.lost
    with pytest.raises(SourceLostError):
        await link.write(WRITE, b"\x00")
    await link.close()
    await link.close()  # may be called twice


async def test_a_full_queue_drops_and_counts() -> None:
    rig = BumbleRig()
    link = await linked(rig, queue_packets=5)
    await link.subscribe(NOTIFY)
    for k in range(8):
        rig.sensor.notify(bytes([k]))
    await until(lambda: link.dropped_packets == 3)
    assert [packet.data for packet in link.take()] == [bytes([k]) for k in range(5)]
    rig.sensor.notify(b"later")
    packets = []
    await until(lambda: packets.extend(link.take()) or len(packets) >= 1)
    assert packets[0].data == b"later"
    await link.close()
