use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::*;

/// A folder of one test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("fresco-mend-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn sh(&self, script: &str) -> String {
        let mut sh = Command::new("sh");
        let done = sh.args(["-euc", script]).current_dir(&self.0).output().unwrap();
        assert!(done.status.success(), "{script}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn value(values: &Values, name: &str) -> Option<String> {
    values.set(find(name).unwrap()).map(str::to_owned)
}

#[test]
fn the_command_mends_whatever_the_file_looks_like() {
    for (before, lines) in [
        (None, 1),
        (Some(""), 1),
        (Some("WORKERS=2\n"), 2),
        (Some("WORKERS=2"), 2),
        (Some("PORT=1\nWORKERS=2\n"), 2),
        (Some("WORKERS=2\nPORT=1"), 2),
        (Some("PORT=1\nWORKERS=2\nPORT=3\nWORKERS=2"), 3),
        // Both hold in their turn: the last does.
        (Some("export PORT=1\nWORKERS=2 "), 3),
        (Some("# PORT=1\r\nWORKERS=\"2\""), 3),
    ] {
        let folder = Folder::new();
        let file = folder.0.join(".env");
        if let Some(text) = before {
            fs::write(&file, text).unwrap();
        }
        let mend = set("PORT", 3001).command(&Values::new([("PORT", "1")]), before);
        folder.sh(&mend);
        let mut values = Values::default();
        values.fill_from_file(&file).unwrap();
        assert_eq!(value(&values, "PORT").as_deref(), Some("3001"), "{before:?}: {mend}");
        let workers = before.filter(|text| text.contains("WORKERS")).map(|_| "2");
        assert_eq!(value(&values, "WORKERS").as_deref(), workers, "{before:?}: {mend}");
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), lines, "{mend}");
    }
}

#[test]
fn what_the_environment_or_an_option_says_is_changed_there() {
    let folder = Folder::new();
    let from_environment = Values::environment([("PORT", "1"), ("AUTH_SECRET", "x")]);
    let mend = set("PORT", 3001).command(&from_environment, Some("PORT=2"));
    assert_eq!(mend, "export PORT=3001");
    assert_eq!(folder.sh(&format!("PORT=1; {mend}; printenv PORT")), "3001\n");
    let mend = Mend::Secret("AUTH_SECRET").command(&from_environment, None);
    let secret = folder.sh(&format!("{mend}; printenv AUTH_SECRET"));
    assert!(secret.trim().len() >= 32, "{mend}");
    let mend = set("PORT", 3001).command(&Values::flags([("PORT", "1")]), None);
    assert!(mend.starts_with("fresco-server --port 3001  # "), "{mend}");
    assert!(!folder.0.join(".env").exists());
}

#[test]
fn a_secret_is_written_where_nobody_else_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let mend = Mend::Secret("AUTH_SECRET").command(&Values::default(), None);
    folder.sh(&mend);
    let file = folder.0.join(".env");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "{mend}");
    let mut values = Values::default();
    values.fill_from_file(&file).unwrap();
    assert!(value(&values, "AUTH_SECRET").unwrap().len() >= 32);
}

#[test]
fn what_only_a_person_knows_is_not_written_over() {
    let mend = fill("DATABASE_URL", "postgresql://r:password@host:port/d");
    let command = mend.command(&Values::default(), Some("DATABASE_URL=x\n"));
    assert!(command.starts_with("${EDITOR:-editor} .env  # a line DATABASE_URL="), "{command}");
    let given = Values::environment([("DATABASE_URL", "x")]);
    assert!(mend.command(&given, None).starts_with("export DATABASE_URL=postgresql://r:"));
}
