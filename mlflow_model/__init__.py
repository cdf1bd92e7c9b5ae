"""The served model: an MLflow pyfunc from code, and how it is saved with its locked environment."""
