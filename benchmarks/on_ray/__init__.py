"""Lancemill on Ray beside its peers on Ray; see benchmarks/README.md."""
