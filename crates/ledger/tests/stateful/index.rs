//! Index, and reading back.
