"""Names of hosts: how they are looked up, and a verdict on DNS of its own."""
