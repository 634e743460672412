"""Offline training and export of the bundles that edge_app runs."""
