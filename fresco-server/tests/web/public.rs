//! The pages for whoever comes by: the first one, and whether the platform works.

use fresco_core::ErrorKind;
use fresco_core::fault::{Call, Fault, FaultPlan};

use crate::support::postgres::{Database, connect};
use crate::support::site::Site;
use crate::{Visitor, site};

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_first_page_says_what_this_is_and_leads_on() {
    let site = site(&[("FRESCO_APP", "fresco"), ("BASE_DOMAIN", "studies.example.org")]).await;
    let page = Visitor::new(&site).get("/").await.is(200);
    page.has("your-study.studies.example.org").has("A database of its own");
    page.has("Yours from the first visit");
    for link in ["/signup", "/login", "/terms", "/privacy", "/service-level", "/status", "/docs"] {
        page.has(&format!("href=\"{link}\""));
    }
    // Without https nobody is told that anything is encrypted.
    page.has("Collect no real data with it.").lacks("/dashboard");
    let page = Visitor::known(&site, "ada@example.org").await.get("/").await.is(200);
    page.has("Go to your instances").has("href=\"/dashboard\"").lacks("href=\"/signup\"");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_first_page_promises_what_the_settings_hold() {
    let production = [
        ("PUBLIC_URL", "https://fresco.example.org"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("BASE_DOMAIN", "fresco.example.org"),
        ("SIGNUP", "invite"),
        ("OPERATOR_NAME", "The <lab>"),
        ("OPERATOR_CONTACT", "help@example.org"),
    ];
    let invite = site(&production).await;
    let page = Visitor::new(&invite).get("/").await.is(200);
    page.has("You need an invitation from The &#60;lab&#62;").has("href=\"/signup\"");
    page.has("browsers and your instance, yes").lacks("Collect no real data");
    // This app is no one's to claim, and keeps its tables in a schema.
    page.lacks("set-up link").has("A place of its own in the database");
    page.lacks("its own database").has("its own separate place in the database");
    page.has("Run by The &#60;lab&#62;").has("href=\"mailto:help@example.org\"");

    let closed = site(&[("SIGNUP", "closed")]).await;
    let page = Visitor::new(&closed).get("/").await.is(200);
    page.has("New accounts are not being made here").lacks("/signup");

    let domains = [("SIGNUP", "domains"), ("SIGNUP_EMAIL_DOMAINS", "a.edu,b.edu")];
    let domains = site(&[&domains[..], &[("ALLOW_UNENFORCED", "network")]].concat()).await;
    let page = Visitor::new(&domains).get("/").await.is(200);
    page.has("For people with an address at a.edu or b.edu.");
    page.lacks("reach each other");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_status_says_in_words_what_health_tells() {
    let site = site(&[]).await;
    let visitor = Visitor::new(&site);
    let page = visitor.get("/status").await.is(200);
    page.has("Everything works").lacks("badge bad");
    // Signed in or not, it is the same.
    let ada = Visitor::known(&site, "ada@example.org").await;
    ada.get("/status").await.is(200).has("Everything works");

    for (call, words) in [
        ("router.health", "may not answer at their addresses"),
        ("runtime.health", "can&#39;t be set up, started or stopped"),
        ("database.health", "can&#39;t read or save data"),
        ("store.health", "You may not be able to sign in"),
    ] {
        let away = |nth| {
            let call = Call { method: call, step: None, nth };
            (call, Fault::FailBefore(ErrorKind::Unavailable))
        };
        let down = FaultPlan::with((0..20).map(away));
        let site = Site::on(Database::migrated().await, &[], &down).await;
        let page = Visitor::new(&site).get("/status").await.is(200);
        page.has("Something does not work at the moment").has(words).has("badge good");
        assert_eq!(page.text.matches("badge bad").count(), 1, "{call}");
        // What is wrong in detail is for the operators.
        page.lacks("planned");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn without_its_database_the_platform_still_says_how_it_is() {
    let site = site(&[]).await;
    let ada = Visitor::known(&site, "ada@example.org").await;
    // From beside it, since nobody shuts the database that they are in.
    let (server, name) = site.database.url.rsplit_once('/').unwrap();
    let beside = connect(&format!("{server}/postgres")).await;
    let shut = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
    beside.batch_execute(&shut).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1";
    beside.execute(end, &[&name]).await.unwrap();
    let page = ada.get("/status").await.is(200);
    page.has("Something does not work").has("You may not be able to sign in");
    ada.get("/").await.is(200);
    ada.get("/privacy").await.is(200);
    // Nobody knows whether she is signed in; nobody says that she is not.
    for path in ["/dashboard", "/settings", "/instances/new"] {
        let page = ada.get(path).await;
        assert_eq!(page.status, 503, "{path}: {page:?}");
        page.lacks("/login?").lacks("ended");
    }
}
