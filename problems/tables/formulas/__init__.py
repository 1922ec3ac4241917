"""Formulas as data: the 23 operators of OpenFE over columns, what they learn on training rows, and all there are."""
