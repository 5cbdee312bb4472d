//! In-memory versions of the ports, for tests, benchmarks and simulations.
