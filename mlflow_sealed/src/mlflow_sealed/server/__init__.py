"""The scoring server: MLflow's protocol for any pyfunc whose ``predict`` has Pydantic types."""
