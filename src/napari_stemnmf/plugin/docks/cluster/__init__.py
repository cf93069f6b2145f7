"""Cluster: non-negative matrix factorization of a feature matrix."""
