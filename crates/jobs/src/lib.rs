//! The life of a reconcile job: handed in, started when a slot is free, planned, run by an engine, checked, published, closed.
//!
//! One module a function, in the order of the pipeline: [`starter`], [`planner`], [`transform`],
//! [`checker`], [`publisher`], [`closer`]. What is handed in is a [`submission`]. They speak through [`messages`], commit by
//! [`manifest`], and tell people how far they are in [`book`].

pub mod book;
pub mod checker;
pub mod closer;
mod error;
pub mod estimate;
mod footer;
pub mod inputs;
pub mod layout;
mod ledgers;
mod leftovers;
mod letters;
pub mod manifest;
pub mod messages;
mod parts;
mod pieces;
pub mod planner;
pub mod prices;
pub mod publisher;
pub mod slots;
mod sources;
pub mod starter;
pub mod submission;
pub mod transform;

pub use error::{JobError, Refused};
