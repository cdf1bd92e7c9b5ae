"""Save a pyfunc with a locked environment and a manifest, and fetch it as it was saved."""
