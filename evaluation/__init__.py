"""What another model would have done."""
