"""From the bytes of a request to checked rows, and what a client is told about invalid requests."""
