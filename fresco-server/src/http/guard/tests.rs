use poem::endpoint::make;
use poem::http::StatusCode;
use poem::test::{TestClient, TestRequestBuilder, TestResponse};
use poem::{Endpoint, EndpointExt, Request};

use super::*;
use crate::http::edge;
use crate::settings::Values;

const DEVELOPMENT: &[(&str, &str)] = &[];
const PRODUCTION: &[(&str, &str)] = &[
    ("PUBLIC_URL", "https://fresco.example.org"),
    ("TRUSTED_PROXIES", "127.0.0.1"),
    ("CORS_ORIGIN", "https://apps.example.org"),
    ("BASE_DOMAIN", "fresco.example.org"),
    ("AUTH_SECRET", "0123456789012345678901234567890123456789"),
    ("SIGNUP", "open"),
];

/// An endpoint behind the guard that answers with the length of the body.
fn guarded(settings: &[(&str, &str)]) -> TestClient<impl Endpoint> {
    let config = Config::read(&Values::new(settings.iter().copied())).unwrap();
    let length = make(|mut request: Request| async move {
        Ok::<_, poem::Error>(request.take_body().into_bytes().await?.len().to_string())
    });
    TestClient::new(
        length
            .with(Guard::new(&config, Addresses::default(), Throttle::new(&config.rates)))
            .around(edge::finish),
    )
}

fn with<'a, E: Endpoint>(
    mut request: TestRequestBuilder<'a, E>,
    headers: &[(&str, &str)],
) -> TestRequestBuilder<'a, E> {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

async fn post(settings: &[(&str, &str)], headers: &[(&str, &str)]) -> TestResponse {
    let client = guarded(settings);
    with(client.post("/api/x").content_type("application/json").body("{}"), headers).send().await
}

async fn get(settings: &[(&str, &str)], path: &str, headers: &[(&str, &str)]) -> StatusCode {
    with(guarded(settings).get(path), headers).send().await.0.status()
}

/// What a POST is answered with these headers.
async fn posted(settings: &[(&str, &str)], headers: &[(&str, &str)]) -> StatusCode {
    let response = post(settings, headers).await.0;
    let status = response.status();
    if !status.is_success() {
        assert_eq!(response.content_type(), Some("application/problem+json"));
    }
    status
}

#[tokio::test]
async fn only_the_platforms_own_address_is_answered() {
    for host in ["localhost:3000", "localhost", "127.0.0.1:3000", "[::1]:3000", "LOCALHOST:3000"] {
        assert_eq!(posted(DEVELOPMENT, &[("host", host)]).await, StatusCode::OK, "{host}");
    }
    for host in [
        "demo.localhost",
        "demo.localhost:3000",
        "example.org",
        "localhost.example.org",
        "localhost@example.org",
        "a@localhost",
        "localhost/x",
        "0.0.0.0:3000",
        "192.168.1.2:3000",
        "",
        ":3000",
        "\u{e4}",
    ] {
        let status = posted(DEVELOPMENT, &[("host", host)]).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    assert_eq!(posted(DEVELOPMENT, &[]).await, StatusCode::MISDIRECTED_REQUEST);
    let two = [("host", "localhost:3000"), ("host", "localhost:3000")];
    assert_eq!(posted(DEVELOPMENT, &two).await, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn in_production_loopback_is_for_health_alone() {
    let own = [("host", "fresco.example.org")];
    assert_eq!(posted(PRODUCTION, &own).await, StatusCode::OK);
    assert_eq!(get(PRODUCTION, "/", &own).await, StatusCode::OK);
    let near = [("host", "127.0.0.1:3000")];
    assert_eq!(posted(PRODUCTION, &near).await, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(get(PRODUCTION, "/", &near).await, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(get(PRODUCTION, "/health", &near).await, StatusCode::OK);
    let tenant = [("host", "demo.fresco.example.org")];
    assert_eq!(get(PRODUCTION, "/health", &tenant).await, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing() {
    let host = ("host", "fresco.example.org");
    for (origin, site, good) in [
        (None, None, true),
        (None, Some("same-origin"), true),
        (Some("https://fresco.example.org"), None, true),
        (Some("https://fresco.example.org"), Some("same-origin"), true),
        (Some("https://apps.example.org"), Some("same-site"), true),
        (Some("https://apps.example.org"), Some("cross-site"), true),
        (None, Some("same-site"), false),
        (None, Some("cross-site"), false),
        (None, Some("none"), false),
        (Some("https://fresco.example.org"), Some("same-site"), false),
        (Some("http://fresco.example.org"), None, false),
        (Some("https://fresco.example.org:8443"), None, false),
        (Some("https://demo.fresco.example.org"), None, false),
        (Some("https://demo.fresco.example.org"), Some("same-origin"), false),
        (Some("https://apps.example.org.evil.example"), None, false),
        (Some("null"), None, false),
        (Some(""), None, false),
    ] {
        let mut headers = vec![host];
        headers.extend(origin.map(|origin| ("origin", origin)));
        headers.extend(site.map(|site| ("sec-fetch-site", site)));
        let expected = if good { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(posted(PRODUCTION, &headers).await, expected, "{headers:?}");
        // Links from anywhere may lead here.
        assert_eq!(get(PRODUCTION, "/", &headers).await, StatusCode::OK, "{headers:?}");
    }
}

#[tokio::test]
async fn what_says_two_things_is_not_believed() {
    let (host, own) = (("host", "fresco.example.org"), "https://fresco.example.org");
    for (name, values) in [
        ("origin", [own, "https://demo.fresco.example.org"]),
        ("origin", ["https://demo.fresco.example.org", own]),
        ("origin", [own, own]),
        ("sec-fetch-site", ["same-origin", "cross-site"]),
        ("sec-fetch-site", ["same-origin", "same-origin"]),
    ] {
        let headers = [host, (name, values[0]), (name, values[1])];
        assert_eq!(posted(PRODUCTION, &headers).await, StatusCode::BAD_REQUEST, "{headers:?}");
        assert_eq!(get(PRODUCTION, "/", &headers).await, StatusCode::BAD_REQUEST, "{headers:?}");
    }
}

#[tokio::test]
async fn in_development_a_page_may_call_by_the_loopback_name_that_it_came_by() {
    let call = |host, origin| async move {
        posted(DEVELOPMENT, &[("host", host), ("origin", origin)]).await
    };
    assert_eq!(call("127.0.0.1:3000", "http://127.0.0.1:3000").await, StatusCode::OK);
    assert_eq!(call("localhost:3000", "http://localhost:3000").await, StatusCode::OK);
    assert_eq!(call("localhost:3000", "http://localhost:3001").await, StatusCode::OK);
    for origin in ["http://demo.localhost", "http://demo.localhost:3000", "http://localhost:5000"] {
        assert_eq!(call("localhost:3000", origin).await, StatusCode::FORBIDDEN, "{origin}");
    }
}

#[tokio::test]
async fn the_one_other_origin_can_read_answers_and_nobody_else() {
    let allowed = "access-control-allow-origin";
    let host = ("host", "fresco.example.org");
    let answer = post(PRODUCTION, &[host, ("origin", "https://apps.example.org")]).await;
    answer.assert_header(allowed, "https://apps.example.org");
    answer.assert_header("access-control-allow-credentials", "true");
    let answer = post(PRODUCTION, &[host, ("origin", "https://demo.fresco.example.org")]).await;
    answer.assert_header_is_not_exist(allowed);

    let client = guarded(PRODUCTION);
    let ask = |origin| {
        let request = client.request(Method::OPTIONS, "/api/x").header("host", host.1);
        request.header("origin", origin).header("access-control-request-method", "POST").send()
    };
    let answer = ask("https://apps.example.org").await;
    answer.assert_status(StatusCode::NO_CONTENT);
    answer.assert_header(allowed, "https://apps.example.org");
    answer.assert_header("access-control-allow-headers", CORS_HEADERS);
    let answer = ask("https://demo.fresco.example.org").await;
    answer.assert_status(StatusCode::FORBIDDEN);
    answer.assert_header_is_not_exist(allowed);
    // What goes wrong can be read, too.
    let sent = client.post("/api/x").header("host", host.1).content_type("text/plain");
    let answer = sent.header("origin", "https://apps.example.org").send().await;
    answer.assert_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    answer.assert_header(allowed, "https://apps.example.org");
}

#[tokio::test]
async fn what_a_form_can_send_is_no_json() {
    let client = guarded(DEVELOPMENT);
    for (kind, good) in [
        ("application/json", true),
        ("application/json; charset=utf-8", true),
        ("Application/JSON", true),
        ("text/plain", false),
        ("application/x-www-form-urlencoded", false),
        ("multipart/form-data; boundary=x", false),
        ("text/plain; application/json", false),
        ("application/jsonx", false),
        ("", false),
    ] {
        let request = client.post("/").header("host", "localhost").content_type(kind).body("{}");
        let status = request.send().await.0.status();
        let expected = if good { StatusCode::OK } else { StatusCode::UNSUPPORTED_MEDIA_TYPE };
        assert_eq!(status, expected, "{kind}");
    }
    let bare = client.post("/").header("host", "localhost").body("{}").send().await;
    bare.assert_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_body_has_a_bound_whether_its_length_is_told_or_not() {
    let client = guarded(&[("BODY_LIMIT", "20")]);
    let most = 20 * 1024;
    let send = |length: usize, told: bool| {
        let body = vec![b' '; length];
        let request = client.post("/").header("host", "localhost");
        let request = request.content_type("application/json");
        let request =
            if told { request.header("content-length", length.to_string()) } else { request };
        request.body(body).send()
    };
    for told in [true, false] {
        send(most, told).await.assert_text(most.to_string()).await;
        send(most + 1, told).await.assert_status(StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let endless =
        Body::from_bytes_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
    let client = guarded(DEVELOPMENT);
    let request = client.post("/").header("host", "localhost");
    let request = request.content_type("application/json").body(endless);
    let answer = tokio::time::timeout(Duration::from_secs(60), request.send());
    answer.await.expect("an answer in time").assert_status(StatusCode::REQUEST_TIMEOUT);
}

/// What a real server answers to these bytes, when the client sends no more.
async fn raw(bytes: &str) -> String {
    use poem::listener::{Acceptor, Listener, TcpListener};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
    let address = acceptor.local_addr()[0].as_socket_addr().copied().unwrap();
    let config = Config::read(&Values::new(DEVELOPMENT.iter().copied())).unwrap();
    let echo = make(|_| async { Ok::<_, poem::Error>("fine") });
    let echo = echo
        .with(Guard::new(&config, Addresses::of(Vec::new()), Throttle::new(&config.rates)))
        .around(edge::finish);
    let server = tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(echo));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer));
    read.await.expect("an answer in time").unwrap();
    server.abort();
    answer
}

/// An endpoint that never answers, and tells of each request.
fn waiting() -> (impl Endpoint, tokio::sync::mpsc::Receiver<()>) {
    let (arrived, arrivals) = tokio::sync::mpsc::channel(8);
    let waits = make(move |_| {
        let arrived = arrived.clone();
        async move {
            arrived.send(()).await.unwrap();
            std::future::pending::<poem::Result<&str>>().await
        }
    });
    (waits, arrivals)
}

/// Behind a proxy it is the address that it tells of that has so many requests at the same time.
#[tokio::test]
async fn one_address_has_so_many_requests_at_the_same_time_behind_a_proxy_too() {
    let settings = [("CONNECTIONS_PER_ADDRESS", "4"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let config = Config::read(&Values::new(settings)).unwrap();
    let (waits, mut arrivals) = waiting();
    let guard = Guard::new(&config, Addresses::default(), Throttle::new(&config.rates));
    let client = TestClient::new(waits.with(guard).around(edge::finish));
    let ask = |from: &'static str| {
        let request = client.post("/").header("host", "localhost").content_type("application/json");
        Box::pin(request.header("x-forwarded-for", from).body("{}").send())
    };
    let mut waiting = Vec::new();
    let mut wait_too = async |from| {
        let mut asked = ask(from);
        tokio::select! {
            _ = &mut asked => panic!("it was answered"),
            there = arrivals.recv() => there.unwrap(),
        }
        waiting.push(asked);
    };
    for _ in 0..4 {
        wait_too("192.0.2.1").await;
    }
    let fifth = ask("192.0.2.1").await;
    fifth.assert_status(StatusCode::TOO_MANY_REQUESTS);
    fifth.assert_header_exist("retry-after");
    wait_too("192.0.2.2").await;
    // As soon as they have gone there is room again.
    waiting.clear();
    let mut again = ask("192.0.2.1");
    tokio::select! {
        _ = &mut again => panic!("it was answered"),
        there = arrivals.recv() => there.unwrap(),
    }
}

/// Else a person whose pages call for them has half as many requests.
#[tokio::test]
async fn a_page_that_calls_for_its_visitor_counts_once() {
    let settings = [("CONNECTIONS_PER_ADDRESS", "4"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let config = Config::read(&Values::new(settings)).unwrap();
    let guard = Guard::new(&config, Addresses::default(), Throttle::new(&config.rates));
    let (waits, mut arrivals) = waiting();
    let page = waits.with(guard.clone()).before(|mut request| async move {
        request.extensions_mut().insert(ClientAddress("192.0.2.1".parse().unwrap()));
        Ok(request)
    });
    let client = TestClient::new(page.with(guard).around(edge::finish));
    let ask = || {
        let request = client.post("/").header("host", "localhost").content_type("application/json");
        Box::pin(request.header("x-forwarded-for", "192.0.2.1").body("{}").send())
    };
    let mut waiting = Vec::new();
    for page in 1..=4 {
        let mut asked = ask();
        tokio::select! {
            _ = &mut asked => panic!("page {page} was answered"),
            there = arrivals.recv() => there.unwrap(),
        }
        waiting.push(asked);
    }
    ask().await.assert_status(StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_from_one_that_is_wrong() {
    let head = "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let whole = format!("{head}content-length: 2\r\nconnection: close\r\n\r\n{{}}");
    let good = raw(&whole).await;
    assert!(good.starts_with("HTTP/1.1 200 "), "{good}");
    let trailers: String = (0..2000).map(|n| format!("x-{n}: 1\r\n")).collect();
    for (bytes, words) in [
        (format!("{head}content-length: 9\r\n\r\n{{}}"), "ended before it was complete"),
        (format!("{chunked}5\r\n{{}}"), "ended before it was complete"),
        (format!("{chunked}xyz\r\n{{}}\r\n"), "its chunks or trailers"),
        (format!("{chunked}2\r\n{{}}\r\n0\r\n{trailers}\r\n"), "its chunks or trailers"),
    ] {
        let answer = raw(&bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(words), "{words}: {answer}");
    }
}

#[tokio::test]
async fn methods_that_are_odd_are_refused_like_others() {
    for method in ["TRACE", "CONNECT", "DELETE", "OPTIONS", "BREW"] {
        let answer = raw(&format!("{method} /docs HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        assert!(answer.contains("\r\nallow: GET, HEAD\r\n"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again_and_others_are_not() {
    let settings = [
        ("RATE_SIGN_IN", "2/minute"),
        ("RATE_CHANGES", "3/hour"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let client = guarded(&settings);
    let post = |path: &'static str, from: &'static str| {
        let request = client.post(path).header("host", "localhost").header("x-forwarded-for", from);
        request
            .header("origin", "http://localhost:3001")
            .header("content-length", "2")
            .content_type("application/json")
            .body("{}")
            .send()
    };
    for _ in 0..2 {
        post("/api/auth.signIn", "192.0.2.7").await.assert_status_is_ok();
    }
    let answer = post("/api/auth.signIn", "192.0.2.7").await;
    answer.assert_status(StatusCode::TOO_MANY_REQUESTS);
    answer.assert_header("access-control-allow-origin", "http://localhost:3001");
    answer.assert_header("access-control-expose-headers", "retry-after");
    let after = answer.0.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
    assert!((1..=30).contains(&after), "{after}");
    let body: serde_json::Value = answer.0.into_body().into_json().await.unwrap();
    assert_eq!((&body["code"], &body["status"]), (&"rate_limited".into(), &429.into()));
    // Another address, and another kind of call.
    post("/api/auth.signIn", "192.0.2.8").await.assert_status_is_ok();
    post("/api/tenants.create", "192.0.2.7").await.assert_status_is_ok();
    // One network of version 6 is one.
    for from in ["2001:db8::1", "2001:db8::2"] {
        post("/api/auth.signIn", from).await.assert_status_is_ok();
    }
    let answer = post("/api/auth.signIn", "2001:db8::3").await;
    answer.assert_status(StatusCode::TOO_MANY_REQUESTS);
    post("/api/auth.signIn", "2001:db8:0:1::3").await.assert_status_is_ok();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_given_up() {
    let config = Config::read(&Values::new([("REQUEST_DEADLINE", "7")])).unwrap();
    let slow = make(|_| std::future::pending::<poem::Result<&str>>());
    let guard = Guard::new(&config, Addresses::default(), Throttle::new(&config.rates));
    let client = TestClient::new(slow.with(guard).around(edge::finish));
    let start = tokio::time::Instant::now();
    let answer = client.get("/").header("host", "localhost").send().await;
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    answer.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    answer.assert_header_exist("retry-after");
}
