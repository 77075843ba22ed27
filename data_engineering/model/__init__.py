"""The words every room speaks: tables, grids, problems, time windows and errors."""
