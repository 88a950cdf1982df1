"""What `ymera doctor` (this installation) and later `ymera validate` run."""
