"""Train the diabetes model: read and check the data, fit, evaluate, log and register."""
