"""Benchmarks: the server, the image and batch scoring, each compared with its peers."""
