"""How fast sharray is, compared with its peers and with the bare system calls.

Run ``python -m benchmarks``; it takes some minutes. All contenders of a table take
turns in one run, so that a disturbance of the machine hits all of them alike.
"""
