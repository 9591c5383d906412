"""The `host` view: one row a host and window of packet time."""
