"""Peers' own test suites, with sharray installed in every process.

``make test-peers`` runs them; ``make test-peers PEERS=loky`` runs one peer's, and
``PEERS=all`` all that each peer has. Each peer is a package here whose `run` is a
program: its exit status is 0 if all is right, and its last line is "N passed, N
failed".

A suite runs once with ``sharray.install(threshold=0)``. Tests that then fail, are
skipped or take long run without sharray as well; `peers.comparing` has the rule.

========================  =================================================