"""Keys and values that a language model drops from its cache: budgets by layer, and who stays within them."""
