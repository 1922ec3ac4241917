"""What scikit-learn calls: the search as an estimator, formulas in a pipeline."""
