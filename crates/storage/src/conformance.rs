//! One suite that every version of a port passes.
