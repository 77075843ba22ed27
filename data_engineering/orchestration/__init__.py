"""One module per DAG, one function per task; here, and only here, the rooms below meet."""
