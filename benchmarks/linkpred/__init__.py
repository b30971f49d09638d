"""What link predictors rank, and what their primitives cost."""
