"""What may pass and what is written down about it: guards, rate limit, audit log."""
