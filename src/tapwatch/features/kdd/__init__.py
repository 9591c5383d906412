"""The `kdd` view: the 41 columns of KDD Cup 1999, one row a connection.

`columns`, `rules` and `services` come without numba; `view` imports the kernels.
"""
