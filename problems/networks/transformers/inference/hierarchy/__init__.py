"""Which of the keys that it could a query attends to: those that are found in ever smaller chunks."""
