"""What else could do a ledger's batch: run by `make bench-ledger`, in an environment of its own."""
