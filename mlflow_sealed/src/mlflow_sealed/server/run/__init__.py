"""The processes of the server: a supervisor and its workers."""
