"""The command line: a thin edge over `ymera.app`, loaded command by command."""
