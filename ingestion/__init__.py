"""What the agent did, and what it cost."""
