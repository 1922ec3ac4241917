"""One file per engine that is compared, each with `run(plan, judge)`: its own operators, its own loop."""
