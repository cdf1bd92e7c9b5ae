"""Training on Spark, on a cluster of its own."""
