"""What `ymera doctor` (this installation) runs."""
