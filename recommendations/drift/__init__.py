"""Does it still hold? Watches an agent's calls for shifts of cost, latency, failures, refusals, mix and quality."""
