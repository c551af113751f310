use std::collections::HashMap;
use std::time::Duration;

use super::Config;

const URL: &str = "postgresql://u:s3cret@10.0.0.1:5432/d";

fn read(changes: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let mut vars = HashMap::from([
        ("DATABASE_URL", URL),
        ("DATABASE_URL_UNPOOLED", URL),
        ("PUBLIC_URL", "https://ants.example.org"),
    ]);
    vars.extend(changes.iter().copied());
    Config::read(|name| vars.get(name).map(|text| (*text).to_owned()))
}

#[test]
fn the_least_environment_gives_the_defaults() {
    let config = read(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.public_host, "ants.example.org");
    assert_eq!(config.version, env!("CARGO_PKG_VERSION"));
    assert!(config.greeting.is_none());
    assert!(!config.switches.claim && !config.switches.sql_public);
}

#[test]
fn an_empty_environment_names_all_that_is_missing() {
    let problems = Config::read(|_| None).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
    for name in ["DATABASE_URL ", "DATABASE_URL_UNPOOLED ", "PUBLIC_URL "] {
        assert!(problems.iter().any(|p| p.starts_with(name)), "{name}: {problems:?}");
    }
}

#[test]
fn blank_counts_as_missing() {
    let problems = read(&[("DATABASE_URL_UNPOOLED", "  ")]).unwrap_err();
    assert_eq!(problems, ["DATABASE_URL_UNPOOLED is missing or blank; it must be set"]);
}

#[test]
fn hostname_and_port_choose_where_to_listen() {
    let listen = |hostname, port| {
        read(&[("HOSTNAME", hostname), ("PORT", port)]).unwrap().listen.to_string()
    };
    assert_eq!(listen("0.0.0.0", "8080"), "0.0.0.0:8080");
    assert_eq!(listen("0b5f9a6c1d2e", ""), "127.0.0.1:3000");
}

#[test]
fn a_wrong_value_is_named_and_not_repeated() {
    for (name, value) in [
        ("PORT", "0"),
        ("PORT", "http"),
        ("APP_CLAIM", "yes"),
        ("APP_BOOT_DELAY", "-1"),
        ("APP_EXIT_AFTER", "NaN"),
        ("APP_EXIT_AT_BOOT", "256"),
        ("APP_EAT_MEMORY", "1.5"),
        ("PUBLIC_URL", "ants.example.org"),
    ] {
        let problems = read(&[(name, value)]).unwrap_err();
        assert_eq!(problems.len(), 1, "{name}={value}: {problems:?}");
        assert!(problems[0].starts_with(&format!("{name} must be ")));
    }
}

#[test]
fn switches_are_read() {
    let switches = read(&[
        ("APP_SQL_PUBLIC", "1"),
        ("APP_IGNORE_TERM", "0"),
        ("APP_BOOT_DELAY", "0.5"),
        ("APP_EXIT_AT_BOOT", "42"),
        ("APP_EAT_MEMORY", "96"),
    ])
    .unwrap()
    .switches;
    assert!(switches.sql_public);
    assert!(!switches.ignore_term);
    assert_eq!(switches.boot_delay, Some(Duration::from_millis(500)));
    assert_eq!(switches.exit_at_boot, Some(42));
    assert_eq!(switches.eat_memory_mb, Some(96));
}

#[test]
fn a_database_url_that_cannot_work_is_refused_without_its_password() {
    for url in [
        "postgresql://u:s3cret@db.example.org/d",
        "postgresql://u:s3cret@localhost/d",
        "postgresql://u:s3cret@10.0.0.1",
        "postgresql://10.0.0.1/d?password=s3cret",
        "postgresql:///d?user=u&password=s3cret",
        "postgresql://u:s3cret@10.0.0.1/d?sslmode=require",
        "postgresql://u:s3cret@10.0.0.1:port/d",
        "mysql://u:s3cret@10.0.0.1/d",
    ] {
        let problems = read(&[("DATABASE_URL", url)]).unwrap_err();
        assert_eq!(problems.len(), 1, "{url}: {problems:?}");
        assert!(problems[0].starts_with("DATABASE_URL "), "{problems:?}");
        assert!(!problems[0].contains("s3cret"), "{problems:?}");
    }
}

#[test]
fn database_urls_that_work_are_taken() {
    for url in [
        "postgresql://u:s3cret@[::1]:5432/d",
        "postgres://u:s3cret@10.0.0.1/d?options=-c%20search_path%3Dtenant_1",
        "postgresql://u:s3cret@db.example.org/d?hostaddr=10.0.0.1",
    ] {
        read(&[("DATABASE_URL", url)]).unwrap_or_else(|problems| panic!("{url}: {problems:?}"));
    }
}

#[test]
fn the_debug_form_hides_the_password() {
    assert!(!format!("{:?}", read(&[]).unwrap()).contains("s3cret"));
}
