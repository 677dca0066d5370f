"""What a run looked like: its HTML page and contact sheets."""
