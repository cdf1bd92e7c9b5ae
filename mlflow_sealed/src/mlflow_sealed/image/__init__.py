"""The serving image: built by ``mlflow models build-docker``, with the credential as a secret."""
