//! One configuration for every service.

use std::{env, fmt, time::Duration};

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use storage::StorageError;
use tokio::sync::OnceCell;

use crate::{
    DynamoTables, Limits, S3Links, S3Objects, SesMailer, Sqs, StepFunctions,
    error::{classify, unreadable},
};

/// How long a connection may take to be made: past that another attempt is more likely to be quick.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take to begin. The longest are copies of large parts.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a call is made, in all, before its error is ours.
const ATTEMPTS: u32 = 5;

/// What takes the place of the environment's and the profile's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// A profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// The address of a local stack.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The caller's key.
    pub key: Option<AccessKey>,
}

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a session cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No region is known.
    #[error("no region: set AWS_REGION, or give one on the command line or in the profile")]
    NoRegion,
}

/// Credentials, region, endpoint and HTTP client that the adapters share.
#[derive(Debug)]
pub struct Session {
    config: SdkConfig,
    s3: aws_sdk_s3::Config,
    account: OnceCell<String>,
}

impl Session {
    /// The session that the environment describes, as in Lambda.
    pub async fn from_env() -> Self {
        Self::new(defaults().load().await)
    }

    /// The session that environment and profile describe, but for `overrides`.
    pub async fn connect(overrides: Overrides) -> Result<Self, ConnectError> {
        let mut loader = defaults();
        if let Some(profile) = &overrides.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = overrides.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(region) = overrides.region {
            loader = loader.region(Region::new(region));
        }
        if let Some(AccessKey { id, secret }) = overrides.key {
            loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "overrides"));
        }
        let mut config = loader.load().await;
        let region = config.region().cloned().ok_or(ConnectError::NoRegion)?;
        if let Some(profile) = &overrides.profile {
            // Named by a person, a profile wins over access keys that happen to stand in the environment.
            let sources = ProviderConfig::without_region().with_region(Some(region)).with_http_client(http_client());
            let provider = ProfileFileCredentialsProvider::builder().profile_name(profile).configure(&sources).build();
            config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build();
        }
        Ok(Self::new(config))
    }

    fn new(config: SdkConfig) -> Self {
        // A local stack has one host name, and so no bucket in it.
        let local = config.endpoint_url().is_some() || env::var_os("AWS_ENDPOINT_URL_S3").is_some();
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(local).build();
        Self { config, s3, account: OnceCell::new() }
    }

    /// The configuration, for clients of services that have no port here.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.config
    }

    /// The region's name; empty where none is known.
    pub fn region(&self) -> &str {
        self.config.region().map_or("", Region::as_ref)
    }

    /// The account of the caller's credentials, asked of STS once.
    pub async fn account_id(&self) -> Result<&str, StorageError> {
        let ask = async || {
            let what = "the caller's identity";
            let identity = aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await;
            let identity = identity.map_err(|error| classify("sts:GetCallerIdentity", what, error))?;
            identity.account.ok_or_else(|| unreadable(what, "it has no account"))
        };
        self.account.get_or_try_init(ask).await.map(String::as_str)
    }

    /// Objects in S3.
    pub fn objects(&self) -> S3Objects {
        self.objects_within(Limits::default())
    }

    /// Objects in S3, cut into parts by other limits than S3's own: tests cut small objects.
    pub fn objects_within(&self, limits: Limits) -> S3Objects {
        S3Objects::new(aws_sdk_s3::Client::from_conf(self.s3.clone()), limits)
    }

    /// Tables in DynamoDB.
    pub fn tables(&self) -> DynamoTables {
        DynamoTables::new(aws_sdk_dynamodb::Client::new(&self.config))
    }

    /// Links to objects in S3, signed with `role` (its ARN), or else with the caller's own credentials.
    pub fn links(&self, role: Option<String>) -> S3Links {
        let sts = aws_sdk_sts::Client::new(&self.config);
        S3Links::new(self.s3.clone(), sts, self.config.credentials_provider(), role)
    }

    /// Mail through SES.
    pub fn mailer(&self) -> SesMailer {
        SesMailer::new(aws_sdk_ses::Client::new(&self.config))
    }

    /// Queues of SQS.
    pub fn queues(&self) -> Sqs {
        Sqs::new(aws_sdk_sqs::Client::new(&self.config))
    }

    /// Executions of Step Functions.
    pub fn workflows(&self) -> StepFunctions {
        StepFunctions::new(aws_sdk_sfn::Client::new(&self.config))
    }
}

fn defaults() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts)
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
}
