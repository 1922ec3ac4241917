"""Whether a front of transformers can be believed: another calibration sample, another domain, other families."""
