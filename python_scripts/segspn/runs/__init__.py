"""Whole data sets: the steps of a run, its jobs on one machine or a cluster."""
