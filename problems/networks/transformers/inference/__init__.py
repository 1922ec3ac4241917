"""What a transformer computes at inference: tokens, keys and values that are left out, with counted cost."""
