"""Telling somebody: messages, channels, and an outbox that loses nothing."""
