"""Which genomes are measured next: one file per algorithm."""
