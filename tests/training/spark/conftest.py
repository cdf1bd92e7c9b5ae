"""Spark, for the tests of training on it."""

from tests.spark import cluster, env_root, java_home, pyspark  # noqa: F401 # fixtures
