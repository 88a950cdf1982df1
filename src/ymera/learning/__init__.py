"""What experience taught: which models answered which tasks, how quickly, and how well."""
