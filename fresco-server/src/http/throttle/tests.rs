use std::net::Ipv4Addr;

use super::*;
use crate::config::Config;
use crate::settings::Values;

fn table(rate: &str) -> Table {
    Table::new(rate.parse().unwrap())
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

#[tokio::test(start_paused = true)]
async fn so_many_at_once_and_then_one_after_the_other() {
    let table = table("3/minute");
    for _ in 0..3 {
        table.count(&"ada").unwrap();
    }
    let wait = table.count(&"ada").unwrap_err();
    assert!(wait <= Duration::from_secs(20) && wait > Duration::from_secs(19), "{wait:?}");
    table.count(&"bob").unwrap();
    pass(Duration::from_secs(20)).await;
    table.count(&"ada").unwrap();
    assert!(table.count(&"ada").is_err());
    // Asking in vain is not counted: whoever waits for as long as told is let in.
    for _ in 0..1000 {
        table.count(&"ada").unwrap_err();
    }
    pass(Duration::from_secs(20)).await;
    table.count(&"ada").unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_addresses_take_no_more_memory_and_keep_nobody_else_out() {
    let table = table("2/hour");
    let size = table.limiter.clock().now();
    // As many attackers as there are cells in a half, a quarter of them at their limit.
    for attacker in 0..CELLS as u32 {
        let address = IpAddr::from(Ipv4Addr::from_bits(attacker));
        for _ in 0..if attacker % 4 == 0 { 2 } else { 1 } {
            let _ = table.count(&address);
        }
    }
    assert_eq!(size, table.limiter.clock().now(), "no time has passed");
    let strangers = (0..1000).map(|n| format!("somebody else {n}"));
    let refused = strangers.filter(|name| table.count(name).is_err()).count();
    // In one table of keys that is full, all of them would be kept out, or none of the attackers.
    assert!(refused < 400, "{refused} of 1000");
    // After the time of two requests nothing of it is left.
    pass(Duration::from_secs(60 * 60)).await;
    let strangers = (0..1000).map(|n| format!("somebody else {n}"));
    assert_eq!(strangers.filter(|name| table.count(name).is_err()).count(), 0);
    let Cells(cells) = table.limiter.into_state_store();
    assert_eq!(size_of_val(&*cells), 2 * CELLS * 8, "as large as it was");
}

#[tokio::test(start_paused = true)]
async fn attempts_of_strangers_do_not_keep_an_owner_out_where_it_was_before() {
    let settings = [("RATE_ATTEMPTS", "5/hour")];
    let config = Config::read(&Values::new(settings)).unwrap();
    let throttle = Throttle::new(&config.rates);
    let email = |text: &str| text.parse::<Email>().unwrap();
    let home: IpAddr = "192.0.2.7".parse().unwrap();
    for _ in 0..5 {
        throttle.attempt(&email("ada@example.org"), None).unwrap();
    }
    let told = throttle.attempt(&email("Ada@Example.org"), None).unwrap_err();
    assert_eq!(told.code(), "rate_limited");
    throttle.attempt(&email("bob@example.org"), None).unwrap();
    for _ in 0..5 {
        throttle.attempt(&email("ada@example.org"), Some(home)).unwrap();
    }
    throttle.attempt(&email("ada@example.org"), Some(home)).unwrap_err();
    pass(Duration::from_secs(12 * 60)).await;
    throttle.attempt(&email("ada@example.org"), None).unwrap();
}

#[test]
fn each_call_has_a_kind() {
    use Class::{Begin, Changes, Mail, Reads, SignIn, SignUp, Streams};
    for (method, path, class) in [
        ("GET", "/health", None),
        ("GET", "/", Some(Reads)),
        ("GET", "/docs", Some(Reads)),
        ("GET", "/api/tenants/7/logs", Some(Streams)),
        ("GET", "/api/operations/7/events", Some(Streams)),
        ("POST", "/api/auth.signIn", Some(SignIn)),
        ("POST", "/api/auth.signUp", Some(Begin)),
        ("POST", "/api/wizard.createSession", Some(Begin)),
        ("POST", "/api/wizard.updateSession", Some(SignUp)),
        ("POST", "/api/wizard.deployTenant", Some(SignUp)),
        ("POST", "/api/wizard.checkSubdomain", Some(Reads)),
        ("POST", "/api/wizard.getDeploymentStatus", Some(Reads)),
        ("POST", "/api/auth.requestPasswordReset", Some(Mail)),
        ("POST", "/api/wizard.resendCode", Some(Mail)),
        ("POST", "/api/auth.getSession", Some(Reads)),
        ("POST", "/api/auth.signOut", Some(Changes)),
        ("POST", "/api/tenants.list", Some(Reads)),
        ("POST", "/api/tenants.getLogs", Some(Reads)),
        ("POST", "/api/tenants.create", Some(Changes)),
        ("POST", "/api/tenants.destroy", Some(Changes)),
        // What nobody thought of is bounded like what changes something.
        ("POST", "/api/tenants.fetch", Some(Changes)),
        ("POST", "/nowhere", Some(Changes)),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(Class::of(&method, path), class, "{method} {path}");
    }
}
