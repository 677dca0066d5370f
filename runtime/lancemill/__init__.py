"""Lancemill: from one manifest to a curated Lance dataset."""
