"""The doctor: what this machine has for the bedside, what it lacks, and what mends it."""
