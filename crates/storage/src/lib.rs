//! Ports: what the pipelines need of the outside world, and no more.
//!
//! Each port is a small trait with an in-memory version ([`memory`]) and an AWS version (crate `aws-adapters`); both
//! pass one suite ([`conformance`]). That is what makes a whole pipeline run in one process, in a test or a
//! benchmark, with faults injected.
//!
//! | port | AWS | what for |
//! |---|---|---|
//! | [`Objects`] | S3 | bytes: inputs, parts, outputs, manifests |
//! | [`Links`] | S3 presigned URLs, STS | download links whose end of life is known |
//! | [`Tables`] | DynamoDB | small records found by key: feeds, runs, rejects, reference rows |
//! | [`Cache`] | Valkey / Redis | what may be forgotten at any time |
//! | [`Mailer`] | SES | mail to people |
//! | [`Queues`] | SQS | what waits to be done, and what cannot be |
//! | [`Workflows`] | Step Functions | starting runs, answering waiting tasks |
//! | [`Clock`] | the system clock | the time and pauses, so that tests can set them |

pub mod cache;
pub mod clock;
pub mod conformance;
pub mod documents;
mod error;
pub mod links;
pub mod mail;
pub mod memory;
pub mod names;
pub mod objects;
pub mod queues;
pub mod tables;
pub mod workflows;

pub use cache::Cache;
pub use clock::Clock;
pub use error::{Source, StorageError};
pub use links::{Link, Links};
pub use mail::{Mail, Mailer};
pub use objects::{ByteRange, Location, ObjectInfo, Objects};
pub use queues::Queues;
pub use tables::{Condition, Item, Key, Tables};
pub use workflows::Workflows;
