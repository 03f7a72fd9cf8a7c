"""Whether an endpoint is up or down, what fails together, and why."""
