"""Commands that measure netgraph and write what they find under docs/results: `python -m benchmarks.NAME`."""
