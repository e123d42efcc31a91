"""How training batches are drawn, and what a step is sure to hold."""
