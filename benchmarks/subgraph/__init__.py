"""What the subgraph tests and networks separate, count and cost."""
