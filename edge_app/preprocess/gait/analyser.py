"""Strides of one foot from its IMU, as the samples come."""

from __future__ import annotations

from edge_app.contracts import Float32Array, Float64Array
from edge_app.preprocess.gait.bouts import BoutBuilder
from edge_app.preprocess.gait.frame_check import FrameCheck
from edge_app.preprocess.gait.grid import SampleGrid
from edge_app.preprocess.gait.sensor_at_rest import SensorAtRest
from edge_app.preprocess.gait.stride import Stride
from edge_app.preprocess.gait.swing import FootAxes
from edge_app.preprocess.gait.swing_finder import SwingFinder


class GaitAnalyser:
    """Finds strides and walking bouts; knows nothing of the future and keeps a few seconds.

    The mounting of the sensor on the foot does not matter. A bout is five regular strides in a row
    or more, with pauses up to 3 s. Its first five strides are returned together, when the fifth is
    certain; later ones once the next has ended (one stride and up to a second later), the last up
    to 7 s after its heel strike. In the 10 s after a bout a single step that rolls is walking, too.
    What has been returned never changes. Chunks do not matter. What a second of signal shows to be
    wrong is told by ``signal_fault``, not here; strides of such a signal are worth nothing.

    Args:
        rate_hz: nominal rate, 50 to 400 Hz.
        jitter_s: how far a stamp may stray from its sample's time.
        first_bout: number of the first bout.
    """

    def __init__(self, rate_hz: float, *, jitter_s: float = 0.0, first_bout: int = 0) -> None:
        self._rate_hz = rate_hz
        self._first_bout = first_bout
        self._grid = SampleGrid(rate_hz, jitter_s)
        self.reset()

    def reset(self) -> None:
        """Forget everything, the sensor too: another foot or another sensor."""
        self._grid.reset()
        self._sensor = SensorAtRest()
        self._frame = FrameCheck()
        self._bouts = BoutBuilder(self._first_bout)
        self._finder = SwingFinder(self._rate_hz, self._sensor, self._frame, FootAxes())

    @property
    def is_mirrored(self) -> bool:
        """True when the recent moves only make sense with the sign of an axis turned."""
        return self._frame.is_mirrored

    def push(self, times_s: Float64Array, samples: Float32Array) -> list[Stride]:
        """Take some samples.

        Args:
            times_s: (n,) stamps, seconds.
            samples: (n, 6) acc_x..acc_z m/s^2, gyr_x..gyr_z rad/s; NaN where missing.

        Returns:
            Strides that have become certain, oldest first.
        """
        found: list[Stride] = []
        for run in self._grid.push(times_s, samples):
            if run.restart:
                found += self._end_run()
            for step in self._finder.push(run.times_s, run.samples, run.lost):
                found += self._bouts.add(step)
            found += self._bouts.wait(self._finder.now_s)
        return found

    def finish(self) -> list[Stride]:
        """Return the strides still held back: the stream has ended or stops for a while."""
        self._grid.reset()
        return self._end_run()

    def _end_run(self) -> list[Stride]:
        """End the bout, keep what is known of sensor and foot, begin a new run."""
        found: list[Stride] = []
        for step in self._finder.finish():
            found += self._bouts.add(step)
        found += self._bouts.end()
        self._finder = SwingFinder(self._rate_hz, self._sensor, self._frame, self._finder.axes)
        return found
