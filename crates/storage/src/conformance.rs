//! One suite per port, which every version of it passes: here in memory, in `tests/e2e` on AWS's services.
//!
//! Each check is a function named after the law that it proves, and works under a key of its own, so that one store
//! can serve them all. A broken law panics, as in any test.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a suite of tests: it fails by panicking"
)]

mod cache;
mod links;
mod mail;
mod objects;
mod queues;
mod tables;
mod workflows;

pub use cache::cache;
pub use links::links;
pub use mail::mail;
pub use objects::objects;
pub use queues::queues;
pub use tables::{TestTables, tables};
pub use workflows::{waiting_task, workflows};

/// Runs checks one after the other, each with its own name below the common one.
macro_rules! check {
    ($port:expr, $space:expr => $($law:ident),+ $(,)?) => {
        $($law($port, &$space.below(stringify!($law))).await;)+
    };
}
use check;

/// Keys and texts that adapters like to spoil: URL and XML syntax, DynamoDB's placeholders, every UTF-8 length.
const ODD: [&str; 14] = [
    "with space",
    "a+b",
    "100%",
    "%2F%20",
    "k=v&x=y",
    "semi;colon,comma",
    "quote\"and'",
    "<xml>&amp;",
    "#name:value?",
    "naïve-Übergröße",
    "日本語",
    "🦀🧾",
    "double//slash",
    "dots..and.../x",
];

/// Bytes without a pattern that a shifted or repeated range would fit into; the same for the same seed.
fn noise(seed: u64, bytes: usize) -> bytes::Bytes {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        noise.extend_from_slice(&next());
    }
    noise.truncate(bytes);
    noise.into()
}
