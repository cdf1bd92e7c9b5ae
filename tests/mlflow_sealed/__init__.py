"""Tests of the toolkit, in its own folders."""
