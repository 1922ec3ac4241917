"""Configs of searches that run as they are: `emoprune run <name>`."""
