use fresco_core::{ImageRef, Isolation, Limits};

use super::*;
use crate::settings::SETTINGS;

fn read(values: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(&Values::new(values.iter().copied()))
}

fn problem(values: &[(&str, &str)]) -> String {
    read(values).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_a_development_machine() {
    let config = read(&[]).unwrap();
    assert!(!config.is_production());
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.public_url.to_string(), "http://localhost:3000");
    assert_eq!(config.tenant_database_host, (None, 5432));
    assert_eq!(config.tenants.isolation, Isolation::Database);
    assert_eq!(config.tenants.default_limits().memory_mb, 512);
}

#[test]
fn every_setting_is_read() {
    let values = Values::default();
    let mut reader = Reader::new(&values);
    reader.config().unwrap();
    let all: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(reader.read, all);
}

#[test]
fn all_problems_are_told_at_once_and_no_secret_with_them() {
    let text = problem(&[
        ("DATABASE_URL", "hunter2"),
        ("PORT", "70000"),
        ("DEFAULT_MEMORY", "much"),
        ("BASE_DOMAIN", "-"),
        ("AUTH_SECRET", "hunter2"),
        ("LOG", "fresco_core=loud"),
    ]);
    for name in ["DATABASE_URL", "PORT", "DEFAULT_MEMORY", "BASE_DOMAIN", "AUTH_SECRET", "LOG"] {
        assert!(text.contains(&format!("\n  {name} ")), "{name} in {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn https_is_production_which_refuses_what_only_suits_development() {
    let text = problem(&[("PUBLIC_URL", "https://fresco.example.org")]);
    assert!(text.contains("AUTH_SECRET") && text.contains("BASE_DOMAIN"), "{text}");
    let config = read(&[
        ("PUBLIC_URL", "https://fresco.example.org"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("AUTH_SECRET", "0123456789abcdef0123456789abcdef"),
        ("BASE_DOMAIN", "fresco.example.org"),
        ("SIGNUP", "open"),
    ]);
    let config = config.unwrap();
    assert!(config.is_production() && config.traefik.https);
}

#[test]
fn in_production_the_proxy_before_it_is_named() {
    let with = |more: &[(&'static str, &'static str)]| {
        let production = [
            ("PUBLIC_URL", "https://fresco.example.org"),
            ("AUTH_SECRET", "0123456789abcdef0123456789abcdef"),
            ("BASE_DOMAIN", "fresco.example.org"),
            ("SIGNUP", "open"),
        ];
        [&production[..], more].concat()
    };
    for more in [&[][..], &[("TRUSTED_PROXIES", ",")], &[("LISTEN_ADDRESS", "::1")]] {
        let text = problem(&with(more));
        assert!(text.contains("\n  TRUSTED_PROXIES must be set in production"), "{text}");
        assert!(text.contains("127.0.0.1 for Traefik") && text.contains("none says"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
    let proxies = |more| read(&with(more)).unwrap().trusted_proxies.len();
    assert_eq!(proxies(&[("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/24")]), 2);
    assert_eq!(proxies(&[("TRUSTED_PROXIES", "none")]), 0);
    assert_eq!(proxies(&[("LISTEN_ADDRESS", "0.0.0.0")]), 0);
    assert!(read(&[]).unwrap().trusted_proxies.is_empty());
}

#[test]
fn earlier_secrets_are_separated_by_commas_unless_one_holds_some() {
    use secrecy::ExposeSecret;

    let (a, b) = ("a".repeat(32), "b".repeat(32));
    let with_comma = format!("short,{a}");
    for (text, expected) in [
        (String::new(), vec![]),
        (a.clone(), vec![&a]),
        (format!("{a}, {b},"), vec![&a, &b]),
        (with_comma.clone(), vec![&with_comma]),
    ] {
        let config = read(&[("AUTH_SECRET_OLD", &text)]).unwrap();
        let old: Vec<_> = config.auth_secrets_old.iter().map(|old| old.expose_secret()).collect();
        assert_eq!(old, expected);
    }
    let text = problem(&[("AUTH_SECRET_OLD", "hunter2")]);
    assert!(text.contains("AUTH_SECRET_OLD") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_port_that_is_none_is_told_once() {
    for port in ["70000", "0", "http"] {
        let text = problem(&[("PORT", port)]);
        assert_eq!(text.matches("PORT").count(), 1, "{text}");
    }
    let text = problem(&[("TRAEFIK_HTTP_PORT", "0")]);
    assert_eq!(text.matches("TRAEFIK_HTTP_PORT must be a port").count(), 1, "{text}");
}

#[test]
fn where_docker_is_must_be_an_address_of_docker() {
    for host in ["/run/d.sock", "unix:///run/d.sock", "tcp://127.0.0.1:2375", "tcp://docker"] {
        assert_eq!(read(&[("DOCKER_HOST", host)]).unwrap().docker_host, host);
    }
    for host in ["ftp://x", "docker.sock", "tcp://", "unix://x", "ssh://host"] {
        let text = problem(&[("DOCKER_HOST", host), ("LOG", "fresco_core=loud")]);
        assert!(text.contains("\n  DOCKER_HOST ") && text.contains(host), "{text}");
        assert!(text.contains("\n  LOG "), "with all the others: {text}");
    }
}

#[test]
fn no_other_origin_may_call_in_production_unless_it_is_named() {
    let production = [
        ("PUBLIC_URL", "https://fresco.example.org"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("AUTH_SECRET", "0123456789abcdef0123456789abcdef"),
        ("BASE_DOMAIN", "fresco.example.org"),
        ("SIGNUP", "open"),
    ];
    assert!(read(&[]).unwrap().cors_origin.is_some());
    assert!(read(&production).unwrap().cors_origin.is_none());
    let named = [&production[..], &[("CORS_ORIGIN", "https://apps.example.org")]].concat();
    let origin = read(&named).unwrap().cors_origin.unwrap();
    assert_eq!(origin.to_string(), "https://apps.example.org");
}

#[test]
fn an_empty_value_is_none_save_where_that_would_hide_a_mistake() {
    for name in [
        "DATABASE_URL",
        "TENANT_DATABASE_ADMIN_URL",
        "AUTH_SECRET",
        "PUBLIC_URL",
        "NEXT_PUBLIC_APP_URL",
    ] {
        for value in ["", " "] {
            let text = problem(&[(name, value)]);
            let words = format!("\n  {name} is empty: give it a value, or remove it");
            assert!(text.contains(&words), "{text}");
            assert_eq!(text.lines().count(), 2, "{text}");
        }
    }
    for setting in SETTINGS.iter().filter(|setting| !setting.filled) {
        read(&[(setting.name, "")]).unwrap();
    }
}

#[test]
fn aliases_are_other_names() {
    let config = read(&[("NEXT_PUBLIC_APP_URL", "http://localhost:3001")]).unwrap();
    assert_eq!(config.public_url.to_string(), "http://localhost:3001");
}

#[test]
fn addresses_of_the_tenants_server() {
    for (text, host, port) in [
        ("db.internal", "db.internal", 5433),
        ("db.internal:6000", "db.internal", 6000),
        ("10.0.0.1:6000", "10.0.0.1", 6000),
        ("fd00::1", "fd00::1", 5433),
        ("[fd00::1]:6000", "fd00::1", 6000),
    ] {
        let url = "postgresql://admin:x@db:5433/postgres";
        let config =
            read(&[("TENANT_DATABASE_ADMIN_URL", url), ("TENANT_DATABASE_HOST", text)]).unwrap();
        assert_eq!(config.tenant_database_host, (Some(host.to_owned()), port), "{text}");
    }
    assert!(problem(&[("TENANT_DATABASE_HOST", "a/b")]).contains("TENANT_DATABASE_HOST"));
}

#[test]
fn images_are_those_of_the_repository_unless_named() {
    let image = |name: &str| name.parse::<ImageRef>().unwrap();
    let config = read(&[("FRESCO_IMAGE", "example.org/app:1")]).unwrap();
    config.tenants.check_image(&image("example.org/app:2")).unwrap();
    config.tenants.check_image(&image("example.org/other:1")).unwrap_err();
    let config = read(&[("TENANT_IMAGES", "a/b:1, c/d")]).unwrap();
    config.tenants.check_image(&image("a/b:1")).unwrap();
    config.tenants.check_image(&image("a/b:2")).unwrap_err();
    config.tenants.check_image(&image("c/d:7")).unwrap();
}

#[test]
fn what_a_tenant_may_do_to_the_database_has_bounds() {
    let config = read(&[]).unwrap();
    assert_eq!((config.tenant_disk, config.tenant_transaction.as_secs()), (5 << 30, 300));
    let config = read(&[("TENANT_DISK", "100"), ("TENANT_TRANSACTION", "60")]).unwrap();
    assert_eq!((config.tenant_disk, config.tenant_transaction.as_secs()), (100 << 20, 60));
    let text = problem(&[("TENANT_DISK", "1"), ("TENANT_TRANSACTION", "0")]);
    assert!(text.contains("TENANT_DISK must be 16 to"), "{text}");
    assert!(text.contains("TENANT_TRANSACTION must be 1 to"), "{text}");
}

#[test]
fn limits_have_bounds() {
    let text = problem(&[("MIN_MEMORY", "600"), ("MAX_CPUS", "0.1")]);
    assert!(text.contains("DEFAULT_MEMORY") && text.contains("MAX_CPUS"), "{text}");
    let policy = read(&[("MAX_MEMORY", "1024")]).unwrap().tenants;
    let limits = Limits { memory_mb: 1025, ..policy.default_limits() };
    assert!(policy.check_limits(&limits).unwrap_err().to_string().contains("1024"));
    policy.check_limits(&policy.default_limits()).unwrap();
}

#[test]
fn in_production_it_must_be_said_who_may_sign_up() {
    let production = [
        ("PUBLIC_URL", "https://fresco.example.org"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("AUTH_SECRET", "0123456789abcdef0123456789abcdef"),
        ("BASE_DOMAIN", "fresco.example.org"),
    ];
    let text = problem(&production);
    assert!(text.contains("SIGNUP must be set in production"), "{text}");
    assert_eq!(read(&[]).unwrap().signup, SignupPolicy::Open);
    let with = |more: &[(&'static str, &'static str)]| [&production[..], more].concat();
    for (settings, policy) in [
        (&[("SIGNUP", "open")][..], SignupPolicy::Open),
        (&[("SIGNUP", "invite")], SignupPolicy::Invite),
        (&[("SIGNUP", "closed")], SignupPolicy::Closed),
        (
            &[("SIGNUP", "domains"), ("SIGNUP_EMAIL_DOMAINS", " Example.org,b.edu ")],
            SignupPolicy::Domains(vec!["example.org".into(), "b.edu".into()]),
        ),
    ] {
        assert_eq!(read(&with(settings)).unwrap().signup, policy);
    }
    for (settings, words) in [
        (&[("SIGNUP", "all")][..], "SIGNUP must be open, domains, invite or closed, but is `all`"),
        (&[("SIGNUP", "domains")], "SIGNUP_EMAIL_DOMAINS must name the domains"),
        (
            &[("SIGNUP", "domains"), ("SIGNUP_EMAIL_DOMAINS", "@example.org")],
            "SIGNUP_EMAIL_DOMAINS must be domains",
        ),
    ] {
        let text = problem(&with(settings));
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn limits_are_wide_in_development_and_narrow_in_production() {
    let production = [
        ("PUBLIC_URL", "https://fresco.example.org"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("AUTH_SECRET", "0123456789abcdef0123456789abcdef"),
        ("BASE_DOMAIN", "fresco.example.org"),
        ("SIGNUP", "open"),
    ];
    let (here, there) = (read(&[]).unwrap(), read(&production).unwrap());
    let days = |config: &Config| config.quota.cooldown.as_secs() / 86_400;
    assert_eq!((days(&here), days(&there)), (0, 90));
    assert_eq!((here.quota.tenants, there.quota.tenants), (Some(1000), Some(5)));
    assert_eq!(there.quota.creations_per_hour, Some(10));
    assert_eq!((here.trial.tenants, there.trial.tenants), (100, 10));
    assert_eq!(there.trial.life, Duration::from_secs(24 * 60 * 60));
    assert_eq!((here.connections, here.connections_each), (1024, 128));
    assert_eq!((here.head_limit, here.body_limit), (65_536, 65_536));
    let rates = |config: &Config| (config.rates.sign_in.to_string(), config.rates.mail.to_string());
    assert_eq!(rates(&here), ("6000/minute".into(), "600/minute".into()));
    assert_eq!(rates(&there), ("30/minute".into(), "20/hour".into()));
    assert!(!here.verifies_addresses, "there is no way to send mail");
    for (name, bad) in [
        ("RATE_SIGN_IN", "0/minute"),
        ("RATE_BEGIN", "1/week"),
        ("RATE_SIGN_UP", "30"),
        ("RATE_MAIL", "30/day"),
        ("RATE_READS", "9999999/second"),
        ("TENANTS_PER_USER", "0"),
        ("DEPLOYS_PER_HOUR", "many"),
        ("SUBDOMAIN_COOLDOWN", "3651"),
        ("UNVERIFIED_HOURS", "0"),
        ("REQUEST_DEADLINE", "601"),
        ("CONNECTIONS_PER_ADDRESS", "1"),
        ("HEADER_LIMIT", "7"),
        ("BODY_LIMIT", "1025"),
    ] {
        let text = problem(&[(name, bad)]);
        assert!(text.contains(&format!("\n  {name} must be ")), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
