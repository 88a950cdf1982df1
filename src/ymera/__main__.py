"""`python -m ymera` is `ymera`."""

from ymera.cli.main import main

main()
