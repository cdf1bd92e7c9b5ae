"""The service of the article, written anew."""
