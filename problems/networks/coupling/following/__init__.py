"""Following channels by index through every operation of a network's forward, whatever its code looks like."""
