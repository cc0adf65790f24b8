"""Pages: what people look at, rather than programs."""
