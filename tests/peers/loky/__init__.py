"""loky's tests, from its source distribution."""
