//! What a function's role may do, tried with credentials of a role that has the same policies.

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{error::ProvideErrorMetadata, types::AttributeValue};
use percent_encoding::percent_decode_str;

use crate::{Stack, resources::Role};

/// Something that one may be allowed to do.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// Read an object of a bucket.
    Read(&'static str, &'static str),
    /// Write one.
    Write(&'static str, &'static str),
    /// Delete one, or rather hide it.
    Delete(&'static str, &'static str),
    /// List a bucket.
    List(&'static str),
    /// Read an item of a table.
    Get(&'static str),
    /// Write one.
    Put(&'static str),
    /// Read a whole table.
    Scan(&'static str),
    /// Start an execution of a machine of the stack.
    Start(&'static str),
    /// Send a mail.
    SendMail,
    /// Take on the role that signs links.
    SignLinks,
}

/// A function's policies, on a role that the test may assume.
pub struct Double {
    role: Role,
    policies: Vec<String>,
    iam: aws_sdk_iam::Client,
    s3: aws_sdk_s3::Client,
    tables: aws_sdk_dynamodb::Client,
    workflows: aws_sdk_sfn::Client,
    mail: aws_sdk_ses::Client,
    sts: aws_sdk_sts::Client,
    account: String,
}

impl Double {
    /// A double of the role with this logical id in the template.
    pub async fn of(stack: &Stack, logical_id: &str) -> Self {
        let config = stack.session.sdk_config();
        let account = stack.session.account_id().await.unwrap().to_owned();
        let iam = aws_sdk_iam::Client::new(config);
        let roles = iam.list_roles().send().await.unwrap().roles;
        let original = roles.iter().find(|role| role.role_name.starts_with(&format!("tieout-{logical_id}-")));
        let original = original.unwrap_or_else(|| panic!("there is no role {logical_id}")).role_name.clone();
        let role = Role::create(stack).await;
        let policies = iam.list_role_policies().role_name(&original).send().await.unwrap().policy_names;
        for policy in &policies {
            let found = iam.get_role_policy().role_name(&original).policy_name(policy).send().await.unwrap();
            let document = percent_decode_str(&found.policy_document).decode_utf8().unwrap();
            let put = iam.put_role_policy().role_name(role.name()).policy_name(policy);
            put.policy_document(document).send().await.unwrap();
        }
        let assume = aws_sdk_sts::Client::new(config).assume_role().role_arn(&role.arn).role_session_name("test");
        let given = assume.send().await.unwrap().credentials.unwrap();
        let (id, secret, token) = (given.access_key_id, given.secret_access_key, given.session_token);
        let credentials = Credentials::new(id, secret, Some(token), None, "double");
        let provider = aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
        let config = config.clone().into_builder().credentials_provider(provider).build();
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        Self {
            role,
            policies,
            iam,
            s3: aws_sdk_s3::Client::from_conf(s3),
            tables: aws_sdk_dynamodb::Client::new(&config),
            workflows: aws_sdk_sfn::Client::new(&config),
            mail: aws_sdk_ses::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            account,
        }
    }

    /// Whether it may. Anything but a refusal is leave: the thing itself need not be there.
    pub async fn may(&self, act: Act) -> bool {
        let code = self.tried(act).await;
        !code.is_some_and(|code| code.starts_with("AccessDenied"))
    }

    /// Tries; the error's code, if it is one.
    async fn tried(&self, act: Act) -> Option<String> {
        let key = || AttributeValue::S("e2e-nothing".to_owned());
        let code = |error: &dyn ProvideErrorMetadata| error.code().unwrap_or("none").to_owned();
        let Self { s3, tables, .. } = self;
        match act {
            Act::Read(bucket, object) => {
                s3.get_object().bucket(bucket).key(object).send().await.err().map(|error| code(&error))
            }
            Act::Write(bucket, object) => {
                s3.put_object().bucket(bucket).key(object).send().await.err().map(|error| code(&error))
            }
            Act::Delete(bucket, object) => {
                s3.delete_object().bucket(bucket).key(object).send().await.err().map(|error| code(&error))
            }
            Act::List(bucket) => s3.list_objects_v2().bucket(bucket).send().await.err().map(|error| code(&error)),
            Act::Get(table) => {
                let get = tables.get_item().table_name(table).key("pk", key()).key("sk", key());
                get.send().await.err().map(|error| code(&error))
            }
            Act::Put(table) => {
                let put = tables.put_item().table_name(table).item("pk", key()).item("sk", key());
                put.send().await.err().map(|error| code(&error))
            }
            Act::Scan(table) => tables.scan().table_name(table).send().await.err().map(|error| code(&error)),
            Act::Start(machine) => {
                let machine = format!("arn:aws:states:us-east-1:{}:stateMachine:tieout-{machine}", self.account);
                // No JSON: what is allowed is refused for that, and nothing is started.
                let start = self.workflows.start_execution().state_machine_arn(machine).input("none");
                start.send().await.err().map(|error| code(&error))
            }
            Act::SendMail => {
                let send = self.mail.send_email().source("e2e@example.com");
                send.send().await.err().map(|error| code(&error))
            }
            Act::SignLinks => {
                let link = format!("arn:aws:iam::{}:role/tieout-link-us-east-1", self.account);
                let assume = self.sts.assume_role().role_arn(link).role_session_name("test");
                assume.send().await.err().map(|error| code(&error))
            }
        }
    }

    /// Deletes it.
    pub async fn delete(self) {
        for policy in self.policies {
            self.iam.delete_role_policy().role_name(self.role.name()).policy_name(policy).send().await.unwrap();
        }
        self.role.delete().await;
    }
}
