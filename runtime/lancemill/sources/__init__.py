"""Where rows come from: object tables and tables, read through snapshots."""
