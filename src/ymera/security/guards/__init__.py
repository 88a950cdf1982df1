"""Guards that look at a request before it is routed, one file each."""
