"""Figures, folds, intervals and comparisons."""
