//! The end-to-end tests' kit: a session on the local stack, and resources of a test's own on it.
//!
//! Where the stack is stands in the environment or, failing that, in `.local/env`, which `make up` writes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test kit: it fails by panicking"
)]

pub mod books;
pub mod command;
pub mod example;
pub mod http;
pub mod large;
pub mod mail;
pub mod resources;
pub mod roles;
pub mod throttle;
pub mod workers;

use std::{collections::HashMap, env, fs, path::Path};

use aws_adapters::{AccessKey, Overrides, Session};

/// The bucket of uploads.
pub const INPUT: &str = "tieout-input-000000000000-us-east-1";
/// The bucket of plans and parts.
pub const WORK: &str = "tieout-work-000000000000-us-east-1";
/// The bucket of what is published.
pub const DATA: &str = "tieout-data-000000000000-us-east-1";

/// The local stack.
#[derive(Debug)]
pub struct Stack {
    /// A session on it.
    pub session: Session,
    vars: HashMap<String, String>,
}

impl Stack {
    /// The stack that `make up` started.
    ///
    /// # Panics
    ///
    /// When there is none, with the advice to start it.
    pub async fn connect() -> Self {
        let vars = vars();
        let var = |name: &str| {
            let value = vars.get(name).filter(|value| !value.is_empty());
            value.cloned().unwrap_or_else(|| panic!("{name} is not set: run `make up` first"))
        };
        let overrides = Overrides {
            profile: None,
            endpoint: Some(var("AWS_ENDPOINT_URL")),
            region: Some(var("AWS_REGION")),
            key: Some(AccessKey { id: var("AWS_ACCESS_KEY_ID"), secret: var("AWS_SECRET_ACCESS_KEY") }),
        };
        let session = Session::connect(overrides).await.expect("a region is set");
        Self { session, vars }
    }

    /// A variable of the environment or of `.local/env`.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// `.local/env`, and over it the environment.
fn vars() -> HashMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local/env");
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let written = lines.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    written.chain(env::vars()).collect()
}
