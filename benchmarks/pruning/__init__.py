"""Accuracy of pruned networks by criterion, at equal budgets: `python -m benchmarks.pruning`."""
