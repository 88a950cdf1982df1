"""What the running process says about itself: counters and logs."""
