"""The `flow` view: one row a bidirectional flow that ended or was cut."""
