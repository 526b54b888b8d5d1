"""What third parties call."""
