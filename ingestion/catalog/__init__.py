"""Models that can be called, what they can do, and what they cost from which day on."""
