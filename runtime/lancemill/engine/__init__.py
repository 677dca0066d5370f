"""The streaming worker and what drives it: ledger, budget, quarantine, progress."""
