"""The workers: one queue a module, each read from top to bottom as its story."""
