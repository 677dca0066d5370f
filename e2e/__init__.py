"""Lancemill in real pods: scenarios, and the clusters they run in. See README.md."""
