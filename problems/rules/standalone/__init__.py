"""What goes into exported folders: the code that learns, prunes and applies rules, without emoprune."""
