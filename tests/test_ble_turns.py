"""One adapter is shared fairly: a scan for all, one connecting at a time, no hanging neighbour."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from edge_app.sources.ble_turns import AdapterTurns


class Adapter:
    """Notes what happens on an adapter."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.scanning = False
        self.scans = 0
        self.connecting = 0
        self.faults: list[str] = []
        self.dropped: list[object] = []
        self.turns = AdapterTurns(self.scan, turn_s=0.2)

    @contextlib.asynccontextmanager
    async def scan(self) -> AsyncIterator[None]:
        if self.fault is not None:
            raise self.fault
        if self.connecting:
            self.faults.append("scan while connecting")
        self.scanning = True
        self.scans += 1
        try:
            yield
        finally:
            self.scanning = False

    async def drop(self, result: object) -> None:
        self.dropped.append(result)

    async def connect(self, result: object, takes_s: float) -> object:
        async def attempt() -> object:
            self.connecting += 1
            if self.connecting > 1 or self.scanning:
                self.faults.append(f"{result}: not alone")
            try:
                await asyncio.sleep(takes_s)
            finally:
                self.connecting -= 1
            return result

        return await self.turns.connect(attempt, linked=lambda: False, drop=self.drop)


def later(future: asyncio.Future[str], value: str, after_s: float) -> None:
    asyncio.get_running_loop().call_later(after_s, future.set_result, value)


async def test_one_scan_serves_all_and_stops_while_connecting() -> None:
    adapter = Adapter()
    loop = asyncio.get_running_loop()
    first: asyncio.Future[str] = loop.create_future()
    second: asyncio.Future[str] = loop.create_future()
    later(first, "a", 0.1)
    later(second, "b", 0.5)

    async def find_and_connect(found: asyncio.Future[str]) -> object:
        return await adapter.connect(await adapter.turns.seek(found), 0.1)

    assert await asyncio.gather(find_and_connect(first), find_and_connect(second)) == ["a", "b"]
    assert adapter.faults == []
    assert adapter.scans == 2  # stopped for the first, taken up again for the second
    assert not adapter.scanning


async def test_connections_are_made_one_at_a_time() -> None:
    adapter = Adapter()
    made = await asyncio.gather(*(adapter.connect(k, 0.02) for k in range(8)))
    assert made == list(range(8))
    assert adapter.faults == []


async def test_a_hanging_connection_gives_way_and_is_taken_up_again() -> None:
    adapter = Adapter()
    hanging = asyncio.ensure_future(adapter.connect("hangs", 3600.0))
    await asyncio.sleep(0.05)
    assert await asyncio.wait_for(adapter.connect("neighbour", 0.01), 20.0) == "neighbour"
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    later(found, "seen", 0.01)
    assert await asyncio.wait_for(adapter.turns.seek(found), 20.0) == "seen"
    assert not hanging.done()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert await asyncio.wait_for(adapter.connect("after", 0.01), 20.0) == "after"
    assert adapter.connecting == 0
    assert adapter.faults == []


async def test_a_slow_connection_is_made_beside_an_absent_sensor() -> None:
    """An absent sensor is looked for all the time; a connection of 2.5 turns must still be made."""
    adapter = Adapter()
    absent: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    looking = asyncio.ensure_future(adapter.turns.seek(absent))
    await asyncio.sleep(0.1)
    assert await asyncio.wait_for(adapter.connect("slow", 0.5), 30.0) == "slow"
    looking.cancel()


async def test_a_scan_that_cannot_start_is_told_to_all_who_look() -> None:
    adapter = Adapter(fault=OSError("no adapter"))
    futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
    results = await asyncio.gather(
        *(adapter.turns.seek(future) for future in futures), return_exceptions=True
    )
    assert [str(result) for result in results] == ["no adapter"] * 3
    adapter.fault = None
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    later(found, "seen", 0.01)
    assert await adapter.turns.seek(found) == "seen"


async def test_a_failed_connection_is_told_to_its_owner_alone() -> None:
    adapter = Adapter()

    async def fails() -> object:
        raise OSError("refused")

    failing = adapter.turns.connect(fails, linked=lambda: False, drop=adapter.drop)
    results = await asyncio.gather(failing, adapter.connect("fine", 0.01), return_exceptions=True)
    assert str(results[0]) == "refused"
    assert results[1] == "fine"


async def test_a_connection_nobody_waits_for_any_more_is_taken_back() -> None:
    adapter = Adapter()

    async def stubborn() -> object:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600.0)
        return "made all the same"

    waiting = asyncio.ensure_future(
        adapter.turns.connect(stubborn, linked=lambda: False, drop=adapter.drop)
    )
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.wait_for(adapter.connect("next", 0.01), 20.0) == "next"
    assert adapter.dropped == ["made all the same"]


async def test_reading_the_services_of_a_made_link_holds_nobody_up() -> None:
    """Once the link is there the adapter is free, however long its services take."""
    adapter = Adapter()
    linked = False

    async def long_services() -> object:
        nonlocal linked
        linked = True
        await asyncio.sleep(1.0)
        return "long"

    long = asyncio.ensure_future(
        adapter.turns.connect(long_services, linked=lambda: linked, drop=adapter.drop)
    )
    await asyncio.sleep(0.05)
    assert await adapter.connect("neighbour", 0.01) == "neighbour"
    assert not long.done()
    assert await long == "long"
