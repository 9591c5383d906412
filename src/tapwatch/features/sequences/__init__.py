"""The last rows of an entity as one block, for models of sequences."""
