"""Facial expressions scored: by class, by group, under corruption, against another bundle."""
