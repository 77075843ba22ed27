"""Solvers: arrays in, arrays and frames out; no store, no Airflow, no settings."""
