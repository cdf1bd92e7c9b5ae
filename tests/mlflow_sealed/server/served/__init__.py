"""The scoring server as processes of this machine."""
