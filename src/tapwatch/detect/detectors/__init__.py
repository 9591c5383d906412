"""One file a detector, and what several of them share."""
