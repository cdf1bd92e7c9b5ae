"""The registered model: its versions, its champion, and what may become it."""
