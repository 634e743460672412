"""Everything that goes wrong with an LSL stream, each with a real outlet in another process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edge_app.errors import SourceError
from edge_app.sources.liblsl import LslNetwork, configure_liblsl
from edge_app.sources.lsl_eeg import LslEegSource
from tests.lsl_outlet import ROOT, OutletProcess, OutletSpec
from tests.lsl_road import WINDOW, LslRoad

pytestmark = pytest.mark.lsl
NETWORK = LslNetwork(f"bedside-{os.getpid()}", resolve_scope="machine")
Start = Callable[..., OutletProcess]
Listen = Callable[..., LslRoad]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[OutletProcess] = []

    def start(source_id: str, network: LslNetwork = NETWORK, **change: Any) -> OutletProcess:
        started.append(OutletProcess(OutletSpec(source_id, **change), network))
        started[-1].wait_until_up()
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Start a road and wait until it delivers."""
    configure_liblsl(NETWORK)
    roads: list[LslRoad] = []

    def listen(source_id: str, n_windows: int = 2, **given: Any) -> LslRoad:
        roads.append(LslRoad(NETWORK, source_id=source_id, **given))
        roads[-1].start()
        roads[-1].wait_for_windows(n_windows)
        return roads[-1]

    yield listen
    for road in roads:
        road.stop()


def test_an_outlet_that_is_killed_and_comes_back_begins_anew(start: Start, listen: Listen) -> None:
    """The new outlet has another uid: windows begin again, and none holds samples of both."""
    outlet = start("killed")
    road = listen("killed")
    outlet.kill()
    road.wait_for(lambda: road.told("error"))
    assert "the LSL outlet has gone" in road.told("error")[0]
    start("killed")
    road.wait_for_windows(3)
    later = [window for opening, window in road.windows if opening == 2]
    assert later[0].index == 0
    assert later[0].samples[0, 0] < road.windows[0][1].samples[-1, 0] + 1000  # counts from 0 again
    assert road.check_clean_windows_are_whole() == len(road.windows)
    assert road.health.trouble == ""


def test_an_outlet_that_is_replaced_at_once_is_another_one(start: Start, listen: Listen) -> None:
    outlet = start("swapped")
    road = listen("swapped")
    successor = outlet.again()
    try:
        successor.wait_until_up()
        outlet.kill()
        road.wait_for(lambda: len(road.opened) == 2)
        road.wait_for_windows(2)
    finally:
        successor.kill()
    assert road.check_clean_windows_are_whole() == len(road.windows)


def test_a_short_freeze_is_told_and_loses_nothing(start: Start, listen: Listen) -> None:
    outlet = start("pauses")
    road = listen("pauses")
    outlet.freeze()
    road.wait_for(lambda: road.told("trouble"))
    outlet.resume()
    road.wait_for(lambda: road.told("over"))
    road.wait_for_windows(2)
    assert road.told("trouble") == ["no data for 1.0 s"]
    assert road.told("error") == []
    assert road.check_clean_windows_are_whole() == len(road.windows)


def test_a_long_freeze_is_a_loss(start: Start, listen: Listen) -> None:
    outlet = start("freezes")
    road = listen("freezes", resolve_timeout_s=1.0)
    outlet.freeze()
    road.wait_for(lambda: len(road.told("error")) >= 2)
    assert road.told("trouble") == ["no data for 1.0 s"]
    assert "no data for 3 s, though the stream looks connected" in road.told("error")[0]
    assert "no LSL stream with source_id 'freezes'" in road.told("error")[1]
    outlet.resume()
    road.wait_for_windows(2)
    assert road.health.trouble == ""


def test_back_at_another_rate_is_described_anew(start: Start, listen: Listen) -> None:
    outlet = start("rate")
    road = listen("rate")
    outlet.kill()
    start("rate", rate_hz=200.0)
    road.wait_for(lambda: len(road.opened) >= 2)
    road.wait_for_windows(3)
    assert [info.rate_hz for info in road.opened] == [100.0, 200.0]
    assert {(n, w.rate_hz) for n, w in road.windows} == {(1, 100.0), (2, 200.0)}
    assert not any(window.off_rate for _, window in road.windows)


def test_back_without_the_wanted_channel_is_told_and_tried_again(
    start: Start, listen: Listen
) -> None:
    outlet = start("channels", labels=("C3", "C4"), units=("uV", "uV"))
    road = listen("channels", channel="C4")
    outlet.kill()
    other = start("channels", labels=("C3", "Cz"), units=("uV", "uV"))
    road.wait_for(lambda: len(road.told("error")) >= 2)
    assert "no such channel (expected ['C3', 'Cz'], got C4)" in road.told("error")[-1]
    other.kill()
    start("channels", labels=("F3", "F4", "C4"), units=("uV", "uV", "uV"))
    road.wait_for(lambda: len(road.opened) == 2)
    road.wait_for_windows(1)
    assert [info.channels for info in road.opened] == [("C4",), ("C4",)]
    assert 2000 <= road.windows[-1][1].samples[0, 0] < 3000  # the third channel now


@pytest.mark.parametrize("jump_s", [20.0, -20.0])
def test_a_jump_of_the_clock_begins_anew(start: Start, listen: Listen, jump_s: float) -> None:
    outlet = start("jumps")
    road = listen("jumps")
    outlet.tell(how_jump_s=jump_s)
    road.wait_for(lambda: len(road.opened) == 2)
    road.wait_for_windows(2)
    assert f"the sender's clock jumped by {jump_s:+.1f} s" in road.told("trouble")
    assert road.check_clean_windows_are_whole() == len(road.windows)  # no window over the jump
    before, after = ([w for n, w in road.windows if n == opening] for opening in (1, 2))
    assert after[0].index == 0
    assert 0.0 < after[0].start_s - before[-1].end_s < 10.0  # moved to their arrival
    assert "the sender's stamps are not on LSL's clock" in road.health.assumptions[0]


@pytest.mark.parametrize("jitter_s", [0.0, 0.002])
def test_lost_samples_are_gaps_and_are_counted(
    start: Start, listen: Listen, jitter_s: float
) -> None:
    outlet = start("lossy", how_jitter_s=jitter_s)
    road = listen("lossy", n_windows=4)
    assert road.health.windowing.missing_samples == 0
    outlet.tell(how_drop=0.03)
    road.wait_for(lambda: any("of the samples lost" in text for text in road.told("trouble")))
    road.wait_for_windows(10)
    outlet.tell(how_drop=0.0)
    road.wait_for(lambda: road.told("over"))
    road.wait_for_windows(2)
    values = np.concatenate([window.samples[:, 0] for _, window in road.windows])
    came = values[np.isfinite(values)]
    truly_lost = int((np.diff(came) - 1).sum())
    seen_lost = int(np.isnan(values).sum())
    assert truly_lost >= 6
    assert abs(seen_lost - truly_lost) <= max(2, 0.2 * truly_lost)  # the newest is not certain yet
    assert dict(road.sources[-1].figures)["lost_samples"] == pytest.approx(seen_lost, abs=5)
    assert road.told("error") == []


def test_a_burst_of_nan_is_told_and_passed_on(start: Start, listen: Listen) -> None:
    outlet = start("nan")
    road = listen("nan")
    outlet.tell(how_nan=True)
    road.wait_for(lambda: road.told("trouble"))
    outlet.tell(how_nan=False)
    road.wait_for(lambda: road.told("over"))
    road.wait_for_windows(2)
    assert road.told("trouble") == ["samples that are not a number"]
    assert any(window.invalid_fraction > 0 for _, window in road.windows)
    assert road.windows[-1][1].usable_fraction == 1.0
    assert road.health.windowing.missing_samples == 0  # they came, and are no gap
    assert road.told("error") == []
    assert road.check_clean_windows_are_whole() >= 4


@pytest.mark.parametrize("sends_hz", [50.0, 200.0])
def test_a_rate_that_becomes_wrong_is_told_before_it_is_an_error(
    start: Start, listen: Listen, sends_hz: float
) -> None:
    outlet = start("changes")
    road = listen("changes")
    outlet.tell(how_sends_hz=sends_hz)
    said = f"{sends_hz:g} samples a second, declared are 100"
    road.wait_for(lambda: any(said in text for text in road.told("trouble")))
    road.wait_for(lambda: road.told("error"))
    assert f"expected 100 Hz, got {sends_hz:g} Hz" in road.told("error")[0]


def test_jitter_is_neither_a_gap_nor_a_trouble(start: Start, listen: Listen) -> None:
    start("jitters", how_jitter_s=0.008)
    road = listen("jitters", n_windows=12)
    assert road.told("trouble") == []
    assert road.health.windowing.gaps == 0
    assert road.check_clean_windows_are_whole() == len(road.windows)
    starts_s = np.array([window.start_s for _, window in road.windows[4:]])
    assert np.abs(np.diff(starts_s) - WINDOW / 100.0).max() < 0.004  # of 16 ms from end to end
    assert 0.002 < dict(road.sources[-1].figures)["jitter_rms_s"] < 0.02


def test_two_beds_on_one_network_do_not_hear_each_other(start: Start) -> None:
    """Two outlets with the same source_id, and each session hears its own only."""
    configure_liblsl(NETWORK)
    ours, theirs = NETWORK, LslNetwork(f"{NETWORK.session}-next", resolve_scope="machine")
    start("band-7", ours, name="ours")
    start("band-7", theirs, name="theirs")
    listener = (  # the first to be heard may take long on a busy machine, others follow it
        "import sys, time; from edge_app.sources.liblsl import *\n"
        "configure_liblsl(LslNetwork(sys.argv[1], resolve_scope='machine'))\n"
        "resolver = load_pylsl().ContinuousResolver(); ends_s = time.monotonic() + 20.0\n"
        "while not resolver.results() and time.monotonic() < ends_s: time.sleep(0.1)\n"
        "time.sleep(1.0)\n"
        "print(sorted(info.name() for info in resolver.results()))"
    )
    listening = [
        subprocess.Popen(
            [sys.executable, "-c", listener, str(network.session)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for network in (ours, theirs)
    ]
    heard = [process.communicate()[0].strip() for process in listening]
    assert heard == ["['ours']", "['theirs']"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"stream_name": "one"}, "a"),
        ({"stream_type": "ExG", "hostname": os.uname().nodename}, "c"),
        ({"stream_name": "two", "stream_type": "exg"}, "c"),
        ({"source_id": "a", "stream_type": "EEG"}, "a"),
        ({"source_id": "a", "stream_name": "two"}, "no LSL stream with .* and name 'two'"),
        ({"source_id": "a", "hostname": "elsewhere"}, "no LSL stream with .* hostname 'elsewhere'"),
        ({"stream_name": "two"}, r"several LSL streams .*two \(b\) on .*two \(c\) on "),
        ({}, r"several LSL streams have type 'EEG' .*one \(a\) on .*two \(b\) on "),
    ],
)
@pytest.mark.usefixtures("three")
async def test_all_names_given_must_match_one_stream(given: dict[str, str], found: str) -> None:
    stream = LslEegSource(name="eeg", network=NETWORK, resolve_timeout_s=2.0, **given)  # type: ignore[arg-type]
    if len(found) > 1:
        with pytest.raises(SourceError, match=found):
            await stream.open()
    else:
        assert (await stream.open()).channels == (found,)
        await stream.close()


@pytest.fixture(scope="module")
def three() -> Iterator[None]:
    configure_liblsl(NETWORK)
    specs = [("a", "one", "EEG"), ("b", "two", "EEG"), ("c", "two", "ExG")]
    outlets = [
        OutletProcess(
            OutletSpec(source_id, name=name, stream_type=kind, labels=(source_id,)), NETWORK
        )
        for source_id, name, kind in specs
    ]
    for outlet in outlets:
        outlet.wait_until_up()
    time.sleep(0.5)
    yield
    for outlet in outlets:
        outlet.kill()


async def test_a_channel_without_a_label_is_named_by_its_index(start: Start) -> None:
    start("bare", labels=("", "", ""), units=None)
    stream = LslEegSource(name="eeg", source_id="bare", channel="2", unit="mV", network=NETWORK)
    configure_liblsl(NETWORK)
    assert (await stream.open()).channels == ("2",)
    chunk = await anext(aiter(stream))
    await stream.close()
    assert chunk.samples[0, 0] >= 1000.0 * 2000.0  # the third channel, mV as uV
