"""Calls of other libraries on shared arrays; the table is in `calls`."""
