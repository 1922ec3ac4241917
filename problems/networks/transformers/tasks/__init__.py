"""What a transformer is for: telling the next token, or telling classes apart; how that is measured and trained."""
