"""What a subset loses, on how many folds, and whether that is less than another loses."""
