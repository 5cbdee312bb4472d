"""The distributed engine: runs a task of tieout's reconcile pipeline on Spark."""
