use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::{Client, types::MessageAttributeValue};
use storage::{
    Queues, StorageError,
    queues::{Message, check_hide, check_message},
};

use crate::error::{classify, code};

/// Queues of SQS.
#[derive(Debug, Clone)]
pub struct Sqs {
    client: Client,
}

impl Sqs {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Queues for Sqs {
    async fn send(&self, queue: &str, message: &Message) -> Result<(), StorageError> {
        check_message(queue, message)?;
        let mut send = self.client.send_message().queue_url(queue).message_body(&message.body);
        for (name, text) in &message.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(text).build();
            let value =
                value.map_err(|error| StorageError::Invalid { what: queue.to_owned(), reason: error.to_string() })?;
            send = send.message_attributes(name, value);
        }
        send.send().await.map(|_| ()).map_err(|error| classify("sqs:SendMessage", queue, error))
    }

    async fn hide(&self, queue: &str, receipt: &str, time: Duration) -> Result<(), StorageError> {
        check_hide(queue, time)?;
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let hide = self.client.change_message_visibility().queue_url(queue).receipt_handle(receipt);
        match hide.visibility_timeout(seconds).send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(code(&error), Some("ReceiptHandleIsInvalid" | "MessageNotInflight")) => {
                let reason = "the message is no longer in its receiver's hands".to_owned();
                Err(StorageError::Invalid { what: queue.to_owned(), reason })
            }
            Err(error) => Err(classify("sqs:ChangeMessageVisibility", queue, error)),
        }
    }
}
