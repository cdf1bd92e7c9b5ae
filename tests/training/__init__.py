"""The training of the diabetes model."""
