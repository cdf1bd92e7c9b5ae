"""The generic part of a pyfunc, which travels with a model by MLflow's ``code_paths``.

It imports installed distributions only, and nothing of the toolkit: where a model is loaded, there
is none.
"""
