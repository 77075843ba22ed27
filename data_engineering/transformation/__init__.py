"""Cleaning, features, joins and conversions: pure functions on declared tables and grids."""
