"""Synthetic videos with exact labels."""
