"""Helpers without a domain: no models, no app."""
