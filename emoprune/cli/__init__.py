"""The command line: it parses and prints, and decides nothing.

`app` has the commands and `arguments` the words they take; `follow` shows work under way, `output` writes what came of
it.
"""
