"""Criteria that learn something on the calibration images before they rank: gates, or the weights of a copy."""
