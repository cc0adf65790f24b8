"""Resources: one noun a module."""
