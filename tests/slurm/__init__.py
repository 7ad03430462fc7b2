"""Tests on a Slurm of their own: pytest tests/slurm.  A package, for conftest's name."""
