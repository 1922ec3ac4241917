"""Whether a front of subsets can be believed: one small file per audit."""
