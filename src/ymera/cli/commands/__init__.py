"""One file per command; `ymera.cli.main` lists them."""
