"""Code that runs without emoprune: it narrows a model by a plan, here and in every exported folder alike."""
