"""The `packet` view: one row a frame."""
