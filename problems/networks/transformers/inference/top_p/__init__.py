"""Which of the keys that it could a query attends to: as many as it takes for a share of its attention."""
