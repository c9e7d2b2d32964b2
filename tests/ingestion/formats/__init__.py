"""Formats of logs."""
