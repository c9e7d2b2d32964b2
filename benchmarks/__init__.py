"""One script per figure we claim."""
