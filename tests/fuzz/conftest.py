"""What pytest must not import while it looks for doctests."""

#: Turns the compiler off for its whole process, and wants atheris.
collect_ignore = ["guided.py"]
