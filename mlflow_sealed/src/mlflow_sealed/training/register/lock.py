"""Let one process of this machine at a time decide on a model's champion."""

from contextlib import AbstractContextManager

import mlflow

from mlflow_sealed import tracking_store


def locked(name: str) -> AbstractContextManager[None]:
    """Keep other trainings and promotions of this machine waiting.

    MLflow sets an alias without looking at what it was. So whoever reads the champion, decides and
    sets it does so alone: with a local SQLite database that is certain. With a server, processes
    on other machines are not kept waiting; there the alias is read again just before it is set.
    The lock goes with its process, however that ends.

    Parameters
    ----------
    name
        The registered model's.
    """
    return tracking_store.locked(mlflow.get_tracking_uri(), name)
