"""Networks that come with emoprune, to try it on."""
