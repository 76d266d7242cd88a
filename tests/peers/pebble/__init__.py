"""The tests of pebble, from its source distribution."""
