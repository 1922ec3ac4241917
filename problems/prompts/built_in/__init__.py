"""Examples that come with emoprune: short film reviews, written for it."""
