"""Synthetic power-flow and OPF datasets in the form of the gridfm ecosystem."""
