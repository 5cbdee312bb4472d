//! Mail, as the emulator keeps it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::{Stack, http};

/// The mails about a run. Waits for the first, which is sent when everything else is done.
pub async fn mails(stack: &Stack, run: &str) -> Vec<String> {
    let url = format!("{}/_ministack/ses/messages", stack.var("AWS_ENDPOINT_URL").unwrap());
    for _ in 0..100 {
        let sent: Value = serde_json::from_str(&http::get(&url).await.1).unwrap();
        let of_accounts = sent.get("messages").and_then(Value::as_object).unwrap().values();
        let mails = of_accounts.flat_map(|mails| mails.as_array().unwrap()).map(Value::to_string);
        let about: Vec<_> = mails.filter(|mail| mail.contains(run)).collect();
        if !about.is_empty() {
            return about;
        }
        sleep(Duration::from_millis(100)).await;
    }
    Vec::new()
}
