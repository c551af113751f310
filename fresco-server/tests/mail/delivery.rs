//! How letters get to the mail server, whatever happens on the way.

use std::sync::{Arc, Mutex};

use fresco_server::mail::Post;
use futures_util::future::join_all;

use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::smtp::{LOGIN, MailServer};
use crate::{deliver, forgot, site_on, site_with};

const ASKED: &str = "Is this your address";

/// What is logged until this value goes, by this thread.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let own = self.clone();
        let layer = tracing_subscriber::fmt().with_ansi(false).with_writer(move || own.clone());
        tracing::subscriber::set_default(layer.finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn letters_go_over_tls_with_name_and_password() {
    for mail in [MailServer::tls(), MailServer::starttls()] {
        let site = site_with(&mail).await;
        site.sign_up("ada@example.org").await;
        deliver(&site).await;
        assert_eq!(mail.to("ada@example.org", ASKED).len(), 1);
    }
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_server_that_nobody_vouches_for_gets_nothing_and_no_secret_is_logged() {
    let (logged, _guard) = {
        let logged = Logged::default();
        let guard = logged.start();
        (logged, guard)
    };
    for (mail, wrong) in [
        (MailServer::tls(), "SMTP_CA"),
        (MailServer::starttls(), "SMTP_CA"),
        (MailServer::tls(), "password"),
        (MailServer::plain(), "starttls"),
    ] {
        let mut settings = mail.settings();
        match wrong {
            "SMTP_CA" => settings.retain(|(name, _)| *name != "SMTP_CA"),
            "password" => settings[0].1 = settings[0].1.replace("hunter2", "hunter3"),
            _ => {
                settings[0].1 =
                    settings[0].1.replace("?tls=none", "").replace("://", "://a:hunter2@")
            }
        }
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let database = Database::migrated().await;
        let site = Site::on(database, &settings, &fresco_core::fault::FaultPlan::none()).await;
        site.sign_up("ada@example.org").await;
        deliver(&site).await;
        assert_eq!(mail.letters().len(), 0, "{wrong}");
        assert_eq!(site.database.count("letters WHERE ended_at IS NULL AND tries = 1").await, 1);
    }
    let text = logged.text();
    assert_eq!(text.matches("a letter could not be sent; it is tried again").count(), 4, "{text}");
    assert!(text.contains("certificate"), "{text}");
    for secret in [LOGIN.1, "hunter2", "hunter3", "verify-email#"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_letter_that_is_refused_is_tried_again_and_given_up_in_the_end() {
    let logged = Logged::default();
    let _guard = logged.start();
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    site.sign_up("ada@example.org").await;
    mail.refuse(Some("451 not now:"));
    deliver(&site).await;
    // It waits for its time.
    deliver(&site).await;
    let waiting =
        "letters WHERE ended_at IS NULL AND tries = 1 AND due_at > now() + interval '5 seconds'";
    assert_eq!(site.database.count(waiting).await, 1);
    let now = "UPDATE fresco_server.letters SET due_at = now() WHERE ended_at IS NULL";
    site.database.execute(now).await;
    mail.refuse(None);
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", ASKED).len(), 1);
    assert_eq!(site.database.count("letters WHERE outcome = 'sent' AND tries = 2").await, 1);

    forgot(&site, "ada@example.org").await;
    mail.refuse(Some("550 no:"));
    for _ in 0..10 {
        deliver(&site).await;
        site.database.execute(now).await;
    }
    assert_eq!(site.database.count("letters WHERE outcome = 'failed' AND tries = 8").await, 1);
    let text = logged.text();
    assert!(text.contains("refuses it with 550") && text.contains("given up"), "{text}");
    // The server's answer quoted the letter; the log does not quote the answer.
    assert!(!text.contains("reset-password") && !text.contains("ada@example.org"), "{text}");
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_letter_outlives_the_server_that_was_to_send_it() {
    let mail = MailServer::plain();
    let database = Database::migrated().await;
    let site = site_on(database.clone(), &mail, &[]).await;
    site.sign_up("ada@example.org").await;
    // It dies with the letter in its hands.
    assert_eq!(site.platform.accounts.lease_letters(8).await.unwrap().len(), 1);
    drop(site);
    let next = site_on(database, &mail, &[]).await;
    deliver(&next).await;
    assert_eq!(mail.letters().len(), 0, "for some time it is the first one's");
    next.database.execute("UPDATE fresco_server.letters SET due_at = now()").await;
    deliver(&next).await;
    assert_eq!(mail.to("ada@example.org", ASKED).len(), 1);
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn several_servers_send_each_letter_once() {
    let mail = MailServer::plain();
    let database = Database::migrated().await;
    let (one, two) =
        tokio::join!(site_on(database.clone(), &mail, &[]), site_on(database, &mail, &[]));
    for person in 0..20 {
        let email = format!("p{person}@example.org");
        let letter = fresco_server::accounts::Letter::PasswordChanged;
        one.platform.accounts.post_letter(&email.parse().unwrap(), &letter).await.unwrap();
    }
    let posts = [&one, &two, &one, &two].map(|site| Post::new(&site.platform).unwrap());
    join_all(posts.iter().map(|post| async move { while post.round().await.unwrap() > 0 {} }))
        .await;
    assert_eq!(mail.letters().len(), 20);
    for person in 0..20 {
        assert_eq!(mail.to(&format!("p{person}@example.org"), "password").len(), 1, "{person}");
    }
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn one_that_cannot_be_read_keeps_no_other_back() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let newer = "INSERT INTO fresco_server.letters (id, kind, recipient, recipient_key, letter)
                 VALUES (gen_random_uuid(), 'newer', 'a@b.org', 'a@b.org', '{\"kind\": \"newer\"}')";
    site.database.execute(newer).await;
    site.sign_up("ada@example.org").await;
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", ASKED).len(), 1);
    assert_eq!(site.database.count("letters WHERE ended_at IS NULL AND tries = 1").await, 1);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn in_development_without_smtp_letters_are_printed_in_the_log() {
    let logged = Logged::default();
    let _guard = logged.start();
    let site = Site::new().await;
    site.sign_up("ada@example.org").await;
    deliver(&site).await;
    let text = logged.text();
    assert!(text.contains("To: ada@example.org\nSubject: Fresco Platform: Is this your"), "{text}");
    let (_, token) = text.split_once("http://localhost:3000/verify-email#").unwrap();
    crate::verify(&site, token.lines().next().unwrap()).await.ok();
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn the_post_ends_when_told_to() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    site.sign_up("ada@example.org").await;
    let post = Post::new(&site.platform).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = post.run(&stop);
    let sent = async {
        while site.database.count("letters WHERE outcome = 'sent'").await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        stop.cancel();
    };
    crate::support::soon("the post", async { tokio::join!(running, sent) }).await;
    assert_eq!(mail.letters().len(), 1);
}
