"""The arithmetic of learning; pure: no files, no clock, no chance."""
