"""What `emoprune doctor` looks at: whether searches can run here, and whether a run's files are whole."""
