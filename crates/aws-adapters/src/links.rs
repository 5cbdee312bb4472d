use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sdk_s3::{Client, Config, presigning::PresigningConfig};
use jiff::Timestamp;
use storage::{Link, Links, Location, StorageError, links::check_lifetime};

use crate::error::{classify, unreadable};

/// The longest life of a signature: S3's bound.
const SIGNATURE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// The shortest session of an assumed role: STS's bound.
const SESSION_MIN: Duration = Duration::from_secs(900);
/// The longest session of a role that is assumed with the credentials of another one, as a function's are.
const SESSION_MAX: Duration = Duration::from_secs(3600);

/// Presigned links to objects in S3.
///
/// A signature dies with the credentials that made it. With a role, each link is signed with a session of that role of
/// its own, whose end is known; without one, with the caller's credentials, whose end is known on a laptop but not
/// inside Lambda.
#[derive(Debug, Clone)]
pub struct S3Links {
    s3: Config,
    sts: aws_sdk_sts::Client,
    own: Option<SharedCredentialsProvider>,
    role: Option<String>,
}

impl S3Links {
    pub(crate) fn new(
        s3: Config,
        sts: aws_sdk_sts::Client,
        own: Option<SharedCredentialsProvider>,
        role: Option<String>,
    ) -> Self {
        Self { s3, sts, own, role }
    }

    async fn credentials(&self, lifetime: Duration) -> Result<Credentials, StorageError> {
        match &self.role {
            Some(role) => self.assume(role, lifetime).await,
            None => self.own().await,
        }
    }

    async fn assume(&self, role: &str, lifetime: Duration) -> Result<Credentials, StorageError> {
        let seconds = lifetime.clamp(SESSION_MIN, SESSION_MAX).as_secs();
        let session = self.sts.assume_role().role_arn(role).role_session_name("tieout-link");
        let session = session.duration_seconds(i32::try_from(seconds).unwrap_or(i32::MAX)).send().await;
        let session = session.map_err(|error| classify("sts:AssumeRole", role, error))?;
        let found = session.credentials.ok_or_else(|| unreadable(role, "it has no credentials"))?;
        let expiry = SystemTime::try_from(found.expiration).map_err(|error| unreadable(role, error.to_string()))?;
        let credentials = Credentials::builder()
            .access_key_id(found.access_key_id)
            .secret_access_key(found.secret_access_key)
            .session_token(found.session_token)
            .expiry(expiry)
            .provider_name("link role");
        Ok(credentials.build())
    }

    async fn own(&self) -> Result<Credentials, StorageError> {
        let what = || "the caller's credentials".to_owned();
        let provider = self.own.as_ref().ok_or_else(|| StorageError::NotFound { what: what() })?;
        let found = provider.provide_credentials().await;
        found.map_err(|error| StorageError::Unavailable { what: what(), source: error.into() })
    }
}

#[async_trait]
impl Links for S3Links {
    async fn sign(&self, at: &Location, lifetime: Duration) -> Result<Link, StorageError> {
        check_lifetime(at, lifetime)?;
        let credentials = self.credentials(lifetime).await?;
        let start = whole_seconds(SystemTime::now());
        let left = credentials.expiry().map(|expiry| expiry.duration_since(start).unwrap_or_default());
        let lifetime = lifetime.min(SIGNATURE_MAX).min(left.unwrap_or(SIGNATURE_MAX));
        let lifetime = Duration::from_secs(lifetime.as_secs());

        let invalid = |reason: String| StorageError::Invalid { what: at.to_string(), reason };
        let presigning = PresigningConfig::builder().start_time(start).expires_in(lifetime).build();
        let presigning = presigning.map_err(|error| invalid(error.to_string()))?;
        let signer = Client::from_conf(self.s3.to_builder().credentials_provider(credentials).build());
        let signed = signer.get_object().bucket(&at.bucket).key(&at.key).presigned(presigning).await;
        let signed = signed.map_err(|error| classify("s3:GetObject", at.to_string(), error))?;
        let expires_at = Timestamp::try_from(start + lifetime).map_err(|error| invalid(error.to_string()))?;
        Ok(Link { url: signed.uri().to_owned(), expires_at })
    }
}

/// The time to the second below: what a signature carries.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}
