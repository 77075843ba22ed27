"""What people look at: summaries and reports, read from the stored results."""
