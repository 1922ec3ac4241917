"""OpenFE: new features found by what they add to a model that has all columns, in two stages of pruning.

Source: Zhang, Zhang, Fan, Luo, Liu, Liu, Cao, Jian, OpenFE: Automated Feature Generation with Expert-level Performance,
arXiv:2211.12507.
"""
