"""The `afterimage` views: Kitsune's damped statistics, one row a frame."""
