//! The intake pipeline in one process: the real handlers on in-memory ports.

mod kit;
mod properties;
mod runs;
mod ties_out;
mod twice;
