"""The uptime monitor: many sites watched from one core, from nothing but a list of addresses."""

__all__: list[str] = []
