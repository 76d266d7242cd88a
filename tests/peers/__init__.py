"""Peers' own test suites, with sharray installed in every process.

``make test-peers`` runs them; ``make test-peers PEERS=loky`` runs one peer's, and
``PEERS=all`` all that each peer has. Each peer is a package here whose `run` is a
program: its exit status is 0 if all is right, and its last line is "N passed, N
failed".

A suite runs once with ``sharray.install(threshold=0)``. Tests that then fail, are
skipped or take long run without sharray as well; `peers.comparing` has the rule.

========================  ========================================================
module                    purpose
========================  ========================================================
`peers.__main__`          the command: runs peers, three at a time
`peers.command`           the command line that most peers' programs share
`peers.suite`             a suite, and the outcomes of its tests
`peers.running`           runs a suite in a process that it watches
`peers.comparing`         tells the faults of sharray from others
`peers.leftovers`         processes and files that a suite leaves
`peers.reporting`         from a test run to a report file
`peers.unittest_program`  the watched process, for suites of unittest
`peers.pytest_program`    the watched process, for suites of pytest
`peers.source`            tests that only a source distribution has
========================  ========================================================
"""
