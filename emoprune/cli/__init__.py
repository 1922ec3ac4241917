"""The command line: it parses and prints, and decides nothing.

`app` is its frame, `searches`, `results` and `installation` have the commands, each of which imports what is heavy by
itself, and `arguments` the words they take; `follow` shows work under way, `output` writes what came of it.
"""
