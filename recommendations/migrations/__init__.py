"""Schema changes, one file each."""
