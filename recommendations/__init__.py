"""What should change, and whether it still holds."""
