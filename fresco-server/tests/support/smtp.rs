//! A real mail server on loopback: aiosmtpd, as Debian packs it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use uuid::Uuid;

/// What is needed to log in at a server that asks for it.
pub const LOGIN: (&str, &str) = ("fresco", "hunter2 and a /");

/// The server. It ends with this value.
#[derive(Debug)]
pub struct MailServer {
    process: Child,
    folder: PathBuf,
    scheme: &'static str,
    port: u16,
}

impl MailServer {
    /// Without TLS, for everybody.
    pub fn plain() -> Self {
        Self::start("none", &[])
    }

    /// With TLS from the first byte, by name and password.
    pub fn tls() -> Self {
        Self::start("tls", &[LOGIN.0, LOGIN.1])
    }

    /// That takes nothing before STARTTLS, and then name and password.
    pub fn starttls() -> Self {
        Self::start("starttls", &[LOGIN.0, LOGIN.1])
    }

    fn start(mode: &'static str, login: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("fresco-mail-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../fresco-server/tests/support/smtp.py");
        // Not whichever python3 comes first: the package belongs to the system's.
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(&folder).arg(mode);
        if mode != "none" {
            certificate(&folder);
            command.arg(folder.join("cert.pem")).arg(folder.join("key.pem")).args(login);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse();
        let port = port.expect("no mail server; is Debian's package python3-aiosmtpd installed?");
        let scheme = if mode == "tls" { "smtps" } else { "smtp" };
        Self { process, folder, scheme, port }
    }

    /// The settings that lead here, to be put before others.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let from = ("SMTP_FROM", "Fresco <fresco@example.org>".to_owned());
        if self.ca().exists() {
            let (name, password) = (LOGIN.0, LOGIN.1.replace(' ', "%20").replace('/', "%2F"));
            let url = format!("{}://{name}:{password}@localhost:{}", self.scheme, self.port);
            let ca = self.ca().to_str().unwrap().to_owned();
            return vec![("SMTP_URL", url), from, ("SMTP_CA", ca)];
        }
        vec![("SMTP_URL", format!("smtp://127.0.0.1:{}?tls=none", self.port)), from]
    }

    /// The certificate by which it is known.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("cert.pem")
    }

    /// Refuses letters with these words, and the letter, from now on; `None` takes them again.
    pub fn refuse(&self, words: Option<&str>) {
        let file = self.folder.join("refuse");
        match words {
            Some(words) => std::fs::write(file, words).unwrap(),
            None => std::fs::remove_file(file).unwrap(),
        }
    }

    /// All letters so far, the oldest first, as they came, decoded.
    pub fn letters(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.folder).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension() == Some("eml".as_ref())).collect();
        files.sort();
        // Long lines come in quoted-printable; nothing in them but `=` needs it.
        let read = |path| {
            let text = std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
            text.replace("=\n", "").replace("=3D", "=")
        };
        files.into_iter().map(read).collect()
    }

    /// The letters to this address with this in the subject.
    pub fn to(&self, address: &str, subject: &str) -> Vec<String> {
        let to = format!("To: {address}\n");
        let is_meant = |letter: &String| {
            let about = letter.lines().find(|line| line.starts_with("Subject: "));
            letter.contains(&to) && about.is_some_and(|line| line.contains(subject))
        };
        self.letters().into_iter().filter(is_meant).collect()
    }

    /// What the newest of them carries: a token behind `#`, or a code.
    #[track_caller]
    pub fn secret(&self, address: &str, subject: &str) -> String {
        let letters = self.to(address, subject);
        let letter = letters.last().unwrap_or_else(|| panic!("no letter in {:#?}", self.letters()));
        let line = letter.lines().find_map(|line| line.split_once('#').map(|(_, token)| token));
        let code = || letter.lines().find_map(|line| line.strip_prefix("    "));
        line.or_else(code).expect("a secret in the letter").trim().to_owned()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A certificate for localhost that is signed by itself.
fn certificate(folder: &std::path::Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .output()
        .expect("openssl is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
