"""What a stranger adds to emoprune: a reference, a saliency, an objective and a recovery."""
