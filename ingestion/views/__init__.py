"""Pages of logs and of what is read out of them."""
