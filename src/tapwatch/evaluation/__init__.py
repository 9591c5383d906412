"""Offline: how good the alerts are, held against what really happened."""
