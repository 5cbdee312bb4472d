//! Buckets, tables and machines of a test's own, each under a name that no other has.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableStatus,
};
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, Delete, ObjectIdentifier,
    VersioningConfiguration,
};
use aws_sdk_sfn::types::{ExecutionStatus, StateMachineType};
use serde_json::{Value, json};
use storage::conformance::TestTables;

use crate::Stack;

/// `conformance-<what>-<32 hex digits>`.
fn name(what: &str) -> String {
    format!("conformance-{what}-{}", uuid::Uuid::new_v4().simple())
}

/// A bucket that keeps versions.
#[derive(Debug)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    client: aws_sdk_s3::Client,
}

impl Bucket {
    /// Makes one.
    pub async fn create(stack: &Stack) -> Self {
        let config = stack.session.sdk_config();
        let client =
            aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(true).build());
        let name = name("bucket");
        // S3's first region is the one that must not be named.
        let place = (stack.session.region() != "us-east-1").then(|| {
            let region = BucketLocationConstraint::from(stack.session.region());
            CreateBucketConfiguration::builder().location_constraint(region).build()
        });
        client.create_bucket().bucket(&name).set_create_bucket_configuration(place).send().await.unwrap();
        let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        client.put_bucket_versioning().bucket(&name).versioning_configuration(versioning).send().await.unwrap();
        Self { name, client }
    }

    /// How many uploads have been begun, and neither completed nor aborted.
    pub async fn uploads_under_way(&self) -> usize {
        let uploads = self.client.list_multipart_uploads().bucket(&self.name).send().await.unwrap();
        uploads.uploads().len()
    }

    /// Deletes it, with every version of every object in it.
    pub async fn delete(self) {
        loop {
            let page = self.client.list_object_versions().bucket(&self.name).send().await.unwrap();
            let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
            let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
            let ids = versions.chain(markers).filter_map(|(key, version)| {
                let id = ObjectIdentifier::builder().key(key?).set_version_id(version.map(str::to_owned));
                id.build().ok()
            });
            let ids: Vec<_> = ids.collect();
            if ids.is_empty() {
                break;
            }
            let delete = Delete::builder().set_objects(Some(ids)).quiet(true).build().unwrap();
            self.client.delete_objects().bucket(&self.name).delete(delete).send().await.unwrap();
        }
        self.client.delete_bucket().bucket(&self.name).send().await.unwrap();
    }
}

/// The tables that the suite wants.
#[derive(Debug)]
pub struct OwnTables {
    /// Their names.
    pub names: TestTables,
    client: aws_sdk_dynamodb::Client,
}

impl OwnTables {
    /// Makes them, and waits until they can be used.
    pub async fn create(stack: &Stack) -> Self {
        let client = aws_sdk_dynamodb::Client::new(stack.session.sdk_config());
        let names = TestTables { sorted: name("sorted"), plain: name("plain"), index: "by_start".to_owned() };
        let index = GlobalSecondaryIndex::builder()
            .index_name(&names.index)
            .set_key_schema(Some(schema(&["by_start_pk", "by_start_sk"])))
            .projection(Projection::builder().projection_type(ProjectionType::All).build());
        client
            .create_table()
            .table_name(&names.sorted)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(texts(&["pk", "sk", "by_start_pk", "by_start_sk"])))
            .set_key_schema(Some(schema(&["pk", "sk"])))
            .global_secondary_indexes(index.build().unwrap())
            .send()
            .await
            .unwrap();
        client
            .create_table()
            .table_name(&names.plain)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(texts(&["pk"])))
            .set_key_schema(Some(schema(&["pk"])))
            .send()
            .await
            .unwrap();
        let tables = Self { names, client };
        tables.wait(&tables.names.sorted).await;
        tables.wait(&tables.names.plain).await;
        tables
    }

    async fn wait(&self, table: &str) {
        loop {
            let found = self.client.describe_table().table_name(table).send().await.unwrap();
            if found.table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Deletes them.
    pub async fn delete(self) {
        for table in [&self.names.sorted, &self.names.plain] {
            self.client.delete_table().table_name(table).send().await.unwrap();
        }
    }
}

fn texts(names: &[&str]) -> Vec<AttributeDefinition> {
    let text = |name: &&str| {
        let definition = AttributeDefinition::builder().attribute_name(*name);
        definition.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    names.iter().map(text).collect()
}

fn schema(names: &[&str]) -> Vec<KeySchemaElement> {
    let kinds = [KeyType::Hash, KeyType::Range];
    let element = |(name, kind): (&&str, KeyType)| {
        KeySchemaElement::builder().attribute_name(*name).key_type(kind).build().unwrap()
    };
    names.iter().zip(kinds).map(element).collect()
}

/// A role that anyone of the account may assume, and that may do nothing.
#[derive(Debug)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    name: String,
    client: aws_sdk_iam::Client,
}

impl Role {
    /// Makes one.
    pub async fn create(stack: &Stack) -> Self {
        let client = aws_sdk_iam::Client::new(stack.session.sdk_config());
        let (name, account) = (name("role"), stack.session.account_id().await.unwrap());
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": { "AWS": format!("arn:aws:iam::{account}:root"), "Service": "states.amazonaws.com" },
            }],
        });
        let created = client.create_role().role_name(&name).assume_role_policy_document(trust.to_string());
        let arn = created.send().await.unwrap().role.unwrap().arn;
        Self { arn, name, client }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Deletes it.
    pub async fn delete(self) {
        self.client.delete_role().role_name(self.name).send().await.unwrap();
    }
}

/// An execution that waits to be answered, in a machine of its own.
#[derive(Debug)]
pub struct WaitingTask {
    /// The token that it waits with.
    pub token: String,
    execution: String,
    activity: String,
    machine: Machine,
}

impl WaitingTask {
    /// Starts one: an activity takes the token out of the machine.
    pub async fn start(stack: &Stack) -> Self {
        let client = aws_sdk_sfn::Client::new(stack.session.sdk_config());
        let activity = client.create_activity().name(name("activity")).send().await.unwrap().activity_arn;
        let waits = json!({ "Type": "Task", "Resource": activity, "TimeoutSeconds": 300, "End": true });
        let machine = Machine::with(stack, &json!({ "StartAt": "Wait", "States": { "Wait": waits } })).await;
        let started = client.start_execution().state_machine_arn(&machine.arn).input("{}").send().await.unwrap();
        let task = client.get_activity_task().activity_arn(&activity).worker_name("conformance").send().await.unwrap();
        Self { token: task.task_token.unwrap(), execution: started.execution_arn, activity, machine }
    }

    /// Waits for the execution's end, and deletes everything. What the execution was told, if it ended well.
    pub async fn end(self) -> Option<String> {
        let client = &self.machine.client;
        let ended = loop {
            let found = client.describe_execution().execution_arn(&self.execution).send().await.unwrap();
            if found.status != ExecutionStatus::Running {
                break found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        client.delete_activity().activity_arn(&self.activity).send().await.unwrap();
        self.machine.delete().await;
        ended.output
    }
}

/// A Standard state machine that ends at once.
#[derive(Debug)]
pub struct Machine {
    /// Its ARN.
    pub arn: String,
    role: Role,
    client: aws_sdk_sfn::Client,
}

impl Machine {
    /// Makes one.
    pub async fn create(stack: &Stack) -> Self {
        Self::with(stack, &json!({ "StartAt": "End", "States": { "End": { "Type": "Succeed" } } })).await
    }

    async fn with(stack: &Stack, definition: &Value) -> Self {
        let client = aws_sdk_sfn::Client::new(stack.session.sdk_config());
        let role = Role::create(stack).await;
        let created = client
            .create_state_machine()
            .name(name("machine"))
            .definition(definition.to_string())
            .role_arn(&role.arn)
            .r#type(StateMachineType::Standard)
            .send()
            .await
            .unwrap();
        Self { arn: created.state_machine_arn, role, client }
    }

    /// Deletes it.
    pub async fn delete(self) {
        self.client.delete_state_machine().state_machine_arn(&self.arn).send().await.unwrap();
        self.role.delete().await;
    }
}

/// Makes an address one that mail may be sent from.
pub async fn verify_sender(stack: &Stack, address: &str) {
    let client = aws_sdk_ses::Client::new(stack.session.sdk_config());
    client.verify_email_identity().email_address(address).send().await.unwrap();
}
