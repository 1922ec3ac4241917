"""Where tables come from: files, built-in sets, functions and frames; read, checked, made into numbers and codes."""
