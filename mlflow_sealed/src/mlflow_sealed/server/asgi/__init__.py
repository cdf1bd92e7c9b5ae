"""HTTP: connections, requests, responses, and what is composed around the model."""
