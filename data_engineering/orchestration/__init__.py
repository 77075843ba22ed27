"""One module per DAG, one function per task; the rooms below never call each other, this one does."""
