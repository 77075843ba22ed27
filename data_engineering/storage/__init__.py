"""Where rows and files are kept: PostgreSQL, TimescaleDB and object stores."""
