"""The serving image, built and run in a real engine."""
