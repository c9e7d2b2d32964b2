"""Error envelope and pagination of the API."""
