"""What other programs want to be told so that they ask Ymera, and how their files are edited."""
