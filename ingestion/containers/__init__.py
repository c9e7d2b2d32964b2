"""Rows out of what a file is made of: lines, JSON documents, CSV, Parquet."""
