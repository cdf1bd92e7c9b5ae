"""From training to a serving container with a private package: no leak, no impostor, no drift."""
