//! The laws of [`Mailer`].

use super::ODD;
use crate::{Mail, Mailer, StorageError, mail::RECIPIENTS_MAX};

/// All laws; `from` and `to` are addresses that the service knows.
pub async fn mail(mailer: &dyn Mailer, from: &str, to: &str) {
    let mail = Mail {
        from: from.to_owned(),
        to: vec![to.to_owned()],
        subject: "conformance".to_owned(),
        text: "text".to_owned(),
        html: "<p>html</p>".to_owned(),
    };
    a_mail_is_accepted_and_named(mailer, &mail).await;
    odd_text_is_accepted(mailer, &mail).await;
    what_nobody_would_send_is_refused(mailer, &mail).await;
}

/// Each accepted mail has an id of its own, also when it says the same.
async fn a_mail_is_accepted_and_named(mailer: &dyn Mailer, mail: &Mail) {
    let first = mailer.send(mail).await.unwrap();
    let second = mailer.send(mail).await.unwrap();
    assert!(!first.is_empty());
    assert_ne!(first, second);
}

/// Any letters may stand in subject and body, and as many recipients as the bound allows.
async fn odd_text_is_accepted(mailer: &dyn Mailer, mail: &Mail) {
    let odd = ODD.join(" ");
    let to = vec![mail.to[0].clone(); RECIPIENTS_MAX];
    let mail = Mail { subject: odd.clone(), text: odd.clone(), html: odd, to, ..mail.clone() };
    mailer.send(&mail).await.unwrap();
}

/// No recipients, too many, no address, a header smuggled in: `Invalid`, before the service is asked.
async fn what_nobody_would_send_is_refused(mailer: &dyn Mailer, mail: &Mail) {
    let wrong = [
        Mail { to: Vec::new(), ..mail.clone() },
        Mail { to: vec![mail.to[0].clone(); RECIPIENTS_MAX + 1], ..mail.clone() },
        Mail { to: vec!["nobody".to_owned()], ..mail.clone() },
        Mail { subject: "hello\r\nBcc: someone@example.com".to_owned(), ..mail.clone() },
    ];
    for mail in wrong {
        let refused = mailer.send(&mail).await;
        assert!(matches!(refused, Err(StorageError::Invalid { .. })), "{refused:?}");
    }
}
