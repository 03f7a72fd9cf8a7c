"""Ready patches for real trouble: a target, a decorator, a guard."""
