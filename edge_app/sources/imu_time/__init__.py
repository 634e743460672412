"""From packets with a device clock, a counter or neither, to samples stamped in host time."""
