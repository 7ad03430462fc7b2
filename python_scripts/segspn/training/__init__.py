"""Training: samples, the solver's loop, snapshots, log."""
