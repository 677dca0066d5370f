"""What a run of a billion objects asks of its driver; see docs/scale.md."""
