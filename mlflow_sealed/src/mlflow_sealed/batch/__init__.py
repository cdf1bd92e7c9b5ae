"""Scoring and training on Apache Spark, for tables that one machine does not hold."""
