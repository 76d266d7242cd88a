"""The topic of passing: calls of pools, by sharray and its peers, in processes."""
