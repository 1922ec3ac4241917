"""Training in rounds: prune a part, train on, set rates or weights back; on images and texts alike, and resumable."""
