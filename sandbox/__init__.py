"""Stand-ins for the outside world, and the embedded stack that runs everything on one machine."""
