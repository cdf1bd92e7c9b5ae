"""Figures, folds, intervals and comparisons: numbers in, numbers out."""
