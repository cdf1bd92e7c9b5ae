"""The toolkit, on its own and with a model of this project."""
