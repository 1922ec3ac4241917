"""What is trained on chosen columns: LightGBM, linear models, forests, any scikit-learn estimator."""
