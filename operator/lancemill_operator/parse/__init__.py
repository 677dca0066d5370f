"""What live objects mean: pure functions from what the API server sends to the frozen facts."""
