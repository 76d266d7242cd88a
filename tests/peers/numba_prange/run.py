"""Run numba's own tests of prange by a team: each is right or refused, none is wrong.

A program: ``python -m tests.peers.numba_prange.run`` from the project's directory, or
``python tests/peers/numba_prange/run.py`` from anywhere. Its exit status is 0 if no
kernel gives another value, or leaves other arrays, than plain Python does, and not
nearly all are refused.
"""

from __future__ import annotations

import argparse
import collections
import fnmatch
import sys
from pathlib import Path

if __name__ == "__main__":
    # Started as a file or from the project's directory, this is of no package, or of
    # another than for the tests.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import sharray as sh
from peers.numba_prange.judging import REFUSED, RIGHT, WRONG, judge
from peers.numba_prange.kernels import all_cases

_LEAST_RIGHT = 20


def main(arguments: list[str] | None = None) -> int:
    """Run them, and print what has become of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", metavar="PATTERN", default="*", help="names, by fnmatch")
    chosen = parser.parse_args(arguments)
    counts: collections.Counter[str] = collections.Counter()
    with sh.Team(1) as team:
        for case in all_cases():
            if fnmatch.fnmatch(case.name, f"*{chosen.k}*"):
                verdict = judge(case, team)
                counts[verdict.kind] += 1
                print(f"{verdict.kind:8}{case.name}: {verdict.reason}", flush=True)
    print(f"{counts[RIGHT]} right, {counts[REFUSED]} refused, {counts[WRONG]} wrong")
    print(f"{counts[RIGHT] + counts[REFUSED]} passed, {counts[WRONG]} failed")
    enough = chosen.k != "*" or counts[RIGHT] >= _LEAST_RIGHT
    return 0 if enough and not counts[WRONG] else 1


if __name__ == "__main__":
    sys.exit(main())
