"""Measuring, registering and showing a trained model."""
