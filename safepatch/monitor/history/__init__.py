"""What was seen, for as long as it is kept."""
