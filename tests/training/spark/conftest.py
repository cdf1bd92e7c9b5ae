"""One process runs these tests: they use a cluster, see `tests.scheduling.SHARED`."""
