"""What else a run or a problem is asked for: export, audit, recovery, inspection, plan, catalogue."""
