"""Code that runs without emoprune: it leaves out what a policy says, here and in every exported folder alike."""
