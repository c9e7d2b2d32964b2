"""Who looks at which agent, with which goal and keys."""
