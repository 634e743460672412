"""Bedside runtime: sensors in, rolling predictions out. Imports neither torch nor the trainer."""
