"""Chapter 11: making models smaller."""
