"""The engine that turns paired answers into a recommendation or none; `decision` is its door."""
