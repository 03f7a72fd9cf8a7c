"""What is normal of an endpoint, learned from its good checks; it only ever warns."""
