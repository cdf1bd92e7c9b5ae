"""Models of other kinds, from code; `predict` without a context, as MLflow takes it too."""
