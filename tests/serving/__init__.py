"""The scoring server, run natively."""
