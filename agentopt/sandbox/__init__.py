"""A Portkey-compatible server of our own, reached over HTTP only."""
