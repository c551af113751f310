//! What a browser is told with every answer, and that the pages work under it.

use std::process::Stdio;
use std::time::Duration;

use fresco_core::fault::FaultPlan;
use fresco_server::app;
use poem::http::{HeaderMap, Method, StatusCode};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::test::TestClient;
use serde_json::json;

use crate::support::postgres::Database;
use crate::support::site::Site;

const PRODUCTION: [(&str, &str); 4] = [
    ("PUBLIC_URL", "https://fresco.example.org"),
    ("TRUSTED_PROXIES", "127.0.0.1"),
    ("BASE_DOMAIN", "fresco.example.org"),
    ("SIGNUP", "open"),
];

async fn site(settings: &[(&str, &str)]) -> Site {
    Site::on(Database::migrated().await, settings, &FaultPlan::none()).await
}

#[track_caller]
fn check(headers: &HeaderMap, what: &str, https: bool) {
    let get = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let (first, second) = (values.next(), values.next());
        assert!(second.is_none(), "{what}: {name} twice");
        first.map(|value| value.to_str().unwrap()).unwrap_or_default()
    };
    let policy = get("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; "), "{what}: {policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{what}: {policy}");
    assert!(policy.contains("base-uri 'none'"), "{what}: {policy}");
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(get(name), value, "{what}: {name}");
    }
    assert!(get("permissions-policy").contains("camera=()"), "{what}");
    assert!(!get("cache-control").is_empty(), "{what}");
    let strict = get("strict-transport-security");
    assert_eq!(strict, if https { "max-age=63072000" } else { "" }, "{what}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn every_answer_tells_a_browser_what_it_may_do() {
    for (settings, host, https) in
        [(&PRODUCTION[..], "fresco.example.org", true), (&[][..], "localhost:3000", false)]
    {
        let site = site(settings).await;
        let client = TestClient::new(app(site.platform.clone()));
        let mut seen = Vec::new();
        for (method, path, host, body) in [
            (Method::GET, "/", host, ""),
            (Method::GET, "/assets/0/app.css", host, ""),
            (Method::GET, "/login", host, ""),
            (Method::GET, "/docs", host, ""),
            (Method::GET, "/docs/start.js", host, ""),
            (Method::GET, "/docs/explorer.css", host, ""),
            (Method::GET, "/openapi.json", host, ""),
            (Method::GET, "/health", host, ""),
            (Method::GET, "/metrics", host, ""),
            (Method::GET, "/nowhere", host, ""),
            (Method::GET, "/", "evil.example.com", ""),
            (Method::DELETE, "/", host, ""),
            (Method::OPTIONS, "/api/auth.signIn", host, ""),
            (Method::POST, "/api/auth.getSession", host, "{}"),
            (Method::POST, "/api/auth.getSession", host, "{"),
            (Method::POST, "/api/tenants.list", host, "{}"),
            (Method::GET, "/api/operations/not-a-uuid/events", host, ""),
        ] {
            let request = client.request(method.clone(), path).header("host", host);
            let answer = request.content_type("application/json").body(body).send().await.0;
            check(answer.headers(), &format!("{method} {path} at {host}"), https);
            seen.push((path, answer.status()));
        }
        // What only operators may read is not here.
        assert!(seen.contains(&("/metrics", StatusCode::NOT_FOUND)), "{seen:?}");
        assert!(seen.contains(&("/", StatusCode::MISDIRECTED_REQUEST)), "{seen:?}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_stream_tells_it_too() {
    let site = site(&[]).await;
    let ada = site.sign_up("ada@example.org").await;
    let made = site.post_with(&ada, "/api/tenants.create", json!({ "subdomain": "ants" })).await;
    let client = TestClient::new(app(site.platform.clone()));
    let path = format!("/api/operations/{}/events", made.text("operationId"));
    let request = client.get(&path).header("host", "localhost:3000").header("cookie", ada);
    let answer = request.send().await.0;
    assert_eq!(answer.content_type(), Some("text/event-stream"));
    check(answer.headers(), "a stream", false);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn no_page_has_a_script_or_a_style_in_it() {
    let site = site(&[]).await;
    let client = TestClient::new(app(site.platform.clone()));
    for path in ["/", "/login", "/forgot-password", "/status", "/privacy", "/docs"] {
        let answer = client.get(path).header("host", "localhost:3000").send().await.0;
        let page = answer.into_body().into_string().await.unwrap().to_lowercase();
        for piece in page.split("<script").skip(1) {
            let inside = piece.split_once('>').unwrap().1.split_once("</script>").unwrap().0;
            assert_eq!(inside, "", "{path}");
        }
        for bad in ["<style", " style=", " onload=", " onclick=", "javascript:"] {
            assert!(!page.contains(bad), "{path}: {bad}");
        }
    }
}

/// What Chromium makes of a page, and what it says of it.
async fn browse(url: &str) -> (String, String) {
    let profile = std::env::temp_dir().join(format!("fresco-browser-{}", uuid::Uuid::new_v4()));
    let browser = std::process::Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("no Chromium; install the package chromium");
    let ended = tokio::task::spawn_blocking(move || browser.wait_with_output().unwrap());
    let output = tokio::time::timeout(Duration::from_secs(120), ended).await;
    let output = output.expect("Chromium ends in time").unwrap();
    let _ = std::fs::remove_dir_all(profile);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker and Chromium"]
async fn the_pages_work_in_a_browser_that_keeps_to_it() {
    let site = site(&[]).await;
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
    let port = acceptor.local_addr()[0].as_socket_addr().unwrap().port();
    let endpoint = app(site.platform.clone());
    let server = tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(endpoint));
    for (path, parts) in [
        // The explorer has drawn the calls that it read from the document.
        ("/docs", &["swagger-ui", "opblock-post", "/api/auth.signIn", "tenants_create"][..]),
        // It opens the call that a link names, with the button to send it.
        ("/docs#/auth/auth_sign_in", &["is-open", "try-out__btn"]),
        ("/", &["Fresco Platform"]),
        ("/reset-password#a-token", &["Set another password", "id=\"token-field\" hidden"]),
        ("/status", &["Everything works"]),
    ] {
        let (page, said) = browse(&format!("http://localhost:{port}{path}")).await;
        let refused: Vec<_> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
        for part in parts {
            assert!(page.contains(part), "{path} lacks {part}: {refused:?}");
        }
        let broken = said.contains("Content Security Policy") || said.contains("Uncaught");
        assert!(!broken, "{path}: {refused:#?}");
    }
    server.abort();
}
