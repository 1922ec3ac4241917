"""The words that prompts are written with: whole ones, one for each cluster, and of these the influential."""
