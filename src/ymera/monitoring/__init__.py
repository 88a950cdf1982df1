"""What the running process says about itself: metrics and logs."""
