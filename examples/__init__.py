"""A request to try, and the whole path in one command."""
