"""The tests: one file a module, and integration tests that use the real thing."""
