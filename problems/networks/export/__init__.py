"""Folders that load without emoprune, verified in a fresh process."""
