"""How much each Gaussian is worth."""
