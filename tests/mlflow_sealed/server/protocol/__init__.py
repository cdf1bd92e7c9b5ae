"""What the bytes of a request mean."""
