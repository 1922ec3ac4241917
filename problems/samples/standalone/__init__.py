"""What goes into exported folders: the numbers of rows that stay, and what selects them; it needs numpy alone."""
