//! The ledger pipeline: time-bounded batches of financial events become artifacts, everything known about one order,
//! in order, nothing lost, nothing doubled.
