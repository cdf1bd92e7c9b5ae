"""The scoring server: its parts here, and as running processes in served."""
