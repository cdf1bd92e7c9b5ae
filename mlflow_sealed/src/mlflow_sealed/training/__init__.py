"""What a training is measured by, how its model is registered, and what is shown of it."""
