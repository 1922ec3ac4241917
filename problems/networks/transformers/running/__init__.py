"""Running narrowed transformers: layer by layer, what candidates share computed once."""
