"""What is kept: request records in SQL, written in batches by one thread."""
