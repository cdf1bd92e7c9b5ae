"""HTTP: connections, and the application."""
