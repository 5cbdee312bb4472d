//! splitter: one input object → a plan with record-aligned byte ranges.

use std::sync::Arc;

use bytes::Bytes;
use error_class::Classified;
use futures::TryStreamExt;
use money::Currency;
use records::{ChunkSplitter, Header, SplitPlan};
use serde_json::json;
use storage::{ByteRange, Clock, Location, Objects, StorageError, Tables, cache::NoCache};
use tracing::info;

use crate::{
    config::{ConfigError, addresses, ascii, optional_text, parsed, text},
    error::{FileError, IntakeError},
    feed::{ChunkSize, Feed, Feeds},
    input::{DECOMPRESSED_BYTES_MAX, InputObject, recognise},
    layout::DEFAULT_FEED,
    manifest::{self, Compression, Plan, attempt_folder, plan_key},
    messages::{Chunk, RunRequest, Split},
    reference::References,
    runs::{RunStatus, Runs, Step, StepFigures},
};
