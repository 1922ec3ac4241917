"""What else a run or a problem is asked for: from Python, or from the command line, which adds nothing.

Of a candidate: `export`, with its record in `exported`, and `recovery`; of a front: `audit`. All three make the run's
problem again by `reopen` and ask it for what it may offer by `questions`. Of a config: `inspection` and `dry_run`. And
`catalogue` and `methods` are what there is to choose from.
"""
