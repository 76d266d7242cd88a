"""Processes that are killed while they share arrays, and what must hold then.

The tests start these modules as programs of their own: forking is cheap for a
small process without threads, and pytest itself is never forked.
"""
