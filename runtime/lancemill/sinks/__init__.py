"""Where rows go: written shard by shard, committed once."""
