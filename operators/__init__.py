"""How genomes are made, mixed, changed and repaired: the operators that come with emoprune, one concept per file."""
