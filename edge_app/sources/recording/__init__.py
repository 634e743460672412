"""Recordings as sources: EDF, BDF, XDF, IMU text, video, picture folders.

``formats.open_recording`` picks the reader, ``player.RecordingSource`` plays it as a source.
"""
