"""Tests of the whole path: a real feed, a real mlflow run, a real server."""
