"""Simulated signals: deterministic by seed, endless in bounded memory, always called simulated."""
