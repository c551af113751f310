//! `.env.example` at the root says what the code says.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use fresco_server::settings::{SETTINGS, Values, example, find};

#[test]
fn the_file_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.env.example");
    if std::env::var_os("UPDATE_ENV_EXAMPLE").is_some() {
        std::fs::write(&path, example()).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        file == example(),
        ".env.example is not what fresco-server/src/settings.rs says; refresh it with:\n  UPDATE_ENV_EXAMPLE=1 cargo test -p fresco-server --test env_example"
    );
}

fn file(content: &str) -> (Values, Result<(), String>) {
    let folder = std::env::temp_dir().join(format!("fresco-env-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(".env"), content).unwrap();
    let mut values = Values::new([("PORT", "4000")]);
    let read = values.fill_from_file(&folder.join(".env"));
    std::fs::remove_dir_all(&folder).unwrap();
    (values, read)
}

#[test]
fn the_last_line_of_a_name_holds_and_what_was_set_before_wins() {
    let (values, read) = file("WORKERS=1\nPORT=5000\nBASE_DOMAIN=\n# LOG=debug\nWORKERS=\"2\"\n");
    read.unwrap();
    let get = |name| values.set(find(name).unwrap());
    assert_eq!((get("WORKERS"), get("PORT")), (Some("2"), Some("4000")));
    assert_eq!((get("BASE_DOMAIN"), get("LOG")), (None, None));
}

#[test]
fn an_empty_value_of_a_url_is_kept_to_be_refused() {
    let (values, read) = file("PUBLIC_URL=http://localhost:1\nPUBLIC_URL=\nAUTH_URL=http://x\n");
    read.unwrap();
    let setting = find("PUBLIC_URL").unwrap();
    assert_eq!((values.set(setting), values.blank(setting)), (None, Some("PUBLIC_URL")));
    let head = example();
    let (head, _) = head.split_once("\n\n").unwrap();
    assert!(head.contains("An empty value is as none") && head.contains("PUBLIC_URL"), "{head}");
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_not_quoted() {
    let (_, read) = file("PORT=1\nAUTH_SECRET='hunter2\n");
    let problem = read.unwrap_err();
    assert!(problem.contains("assignment 2") && !problem.contains("hunter2"), "{problem}");
}

#[test]
fn uncommented_it_sets_everything_to_its_default() {
    let text: String = example()
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| {
            line.split_once('=')
                .is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let (values, read) = file(&text);
    read.unwrap();
    for setting in SETTINGS {
        if setting.name != "PORT" {
            assert_eq!(values.set(setting), setting.default, "{}", setting.name);
        }
    }
}
