"""The private package's feed: a local one, publishing to any, and installing from any."""
