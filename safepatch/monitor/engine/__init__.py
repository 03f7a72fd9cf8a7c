"""What keeps a monitor going: when what is checked, and what becomes of results."""
