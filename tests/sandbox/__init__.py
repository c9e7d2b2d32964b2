"""The sandbox: worlds, recordings, faults, and the server that speaks for them."""
