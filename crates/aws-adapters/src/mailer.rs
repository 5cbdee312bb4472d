use async_trait::async_trait;
use aws_sdk_ses::{
    Client,
    error::BuildError,
    types::{Body, Content, Destination, Message},
};
use storage::{Mail, Mailer, StorageError};

use crate::error::classify;

/// Mail through SES.
#[derive(Debug, Clone)]
pub struct SesMailer {
    client: Client,
}

impl SesMailer {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Mailer for SesMailer {
    async fn send(&self, mail: &Mail) -> Result<String, StorageError> {
        mail.check()?;
        let what = || format!("mail from {} to {}", mail.from, mail.to.join(", "));
        let message =
            message(mail).map_err(|error| StorageError::Invalid { what: what(), reason: error.to_string() })?;
        let destination = Destination::builder().set_to_addresses(Some(mail.to.clone())).build();
        let sent = self.client.send_email().source(&mail.from).destination(destination).message(message).send().await;
        sent.map(|sent| sent.message_id).map_err(|error| classify("ses:SendEmail", what(), error))
    }
}

fn message(mail: &Mail) -> Result<Message, BuildError> {
    let content = |text: &str| Content::builder().data(text).charset("UTF-8").build();
    let body = Body::builder().text(content(&mail.text)?).html(content(&mail.html)?).build();
    Ok(Message::builder().subject(content(&mail.subject)?).body(body).build())
}
