"""Which models exist, where, on what terms, and who says so: see `ymera.catalog.load`."""
