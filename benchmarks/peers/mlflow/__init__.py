"""MLflow's own scoring server: with the typed model, and with a DataFrame signature."""
