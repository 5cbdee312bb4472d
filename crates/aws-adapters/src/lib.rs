//! The AWS versions of the [`storage`] ports. The only crate that names an AWS SDK or a Redis client.
//!
//! A function takes its ports from the functions here, which share one [`Session`] made from the environment; the
//! command line makes a session of its own with [`Session::connect`]. Against a local stack only the endpoint differs
//! (`AWS_ENDPOINT_URL`, or `AWS_ENDPOINT_URL_S3` and its like for one service).
//!
//! Every adapter retries what can be retried for some seconds; what it then returns is classified
//! ([`error_class::ErrorClass`]), so that Step Functions can go on retrying more slowly.

mod backoff;
mod cache;
mod error;
mod links;
mod mailer;
mod objects;
mod queues;
mod session;
mod tables;
mod workflows;

use std::{env, sync::Arc};

use tokio::sync::OnceCell;

pub use cache::{CacheConfig, CacheConfigError, ValkeyCache};
pub use links::S3Links;
pub use mailer::SesMailer;
pub use objects::{Limits, S3Objects};
pub use queues::Sqs;
pub use session::{AccessKey, ConnectError, Overrides, Session};
pub use tables::DynamoTables;
pub use workflows::StepFunctions;

/// One HTTP client, credentials provider and connection pool for the whole process.
static SESSION: OnceCell<Session> = OnceCell::const_new();

/// The session that the environment describes, made at first use.
pub async fn session() -> &'static Session {
    SESSION.get_or_init(Session::from_env).await
}

/// Objects in S3.
pub async fn objects() -> Arc<dyn storage::Objects> {
    Arc::new(session().await.objects())
}

/// Tables in DynamoDB.
pub async fn tables() -> Arc<dyn storage::Tables> {
    Arc::new(session().await.tables())
}

/// Links to objects in S3, signed with the role `LINK_ROLE_ARN` where that is set, else with the caller's credentials.
pub async fn links() -> Arc<dyn storage::Links> {
    let role = env::var("LINK_ROLE_ARN").ok().filter(|role| !role.is_empty());
    Arc::new(session().await.links(role))
}

/// Mail through SES.
pub async fn mailer() -> Arc<dyn storage::Mailer> {
    Arc::new(session().await.mailer())
}

/// Queues of SQS.
pub async fn queues() -> Arc<dyn storage::Queues> {
    Arc::new(session().await.queues())
}

/// Executions of Step Functions.
pub async fn workflows() -> Arc<dyn storage::Workflows> {
    Arc::new(session().await.workflows())
}

/// The cache that [`CacheConfig::from_env`] describes, or none. It is connected to when first used.
pub fn cache() -> Result<Arc<dyn storage::Cache>, CacheConfigError> {
    Ok(match CacheConfig::from_env()? {
        Some(config) => Arc::new(ValkeyCache::new(config)),
        None => Arc::new(storage::cache::NoCache),
    })
}

/// The machine's clock.
pub fn clock() -> Arc<dyn storage::Clock> {
    Arc::new(storage::clock::System)
}
