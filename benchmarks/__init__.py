"""Side by side with what else there is."""
