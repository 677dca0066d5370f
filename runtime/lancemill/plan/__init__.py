"""From a manifest to a plan: pure data, checked, explained and cut into segments."""
