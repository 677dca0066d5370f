"""A real Kubernetes for tests, and what it is surrounded with: see README.md."""
