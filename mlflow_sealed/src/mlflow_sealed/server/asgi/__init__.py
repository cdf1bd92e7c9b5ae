"""HTTP: connections, requests, pages and the log."""
