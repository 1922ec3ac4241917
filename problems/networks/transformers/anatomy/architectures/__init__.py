"""One file per architecture: what of its layers is not found by itself."""
