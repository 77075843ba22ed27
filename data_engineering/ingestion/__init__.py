"""Sources: functions from a half-open UTC window to raw bytes, and from bytes to declared rows."""
