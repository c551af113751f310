//! The doctor on a healthy machine, and on one with each thing broken that people break.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests; what the doctor said is shown when one fails"
)]

mod mends;
#[path = "../support/smtp.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use more of it")]
mod smtp;
mod stack;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use fresco_core::{Gate, PlatformId};
use fresco_docker::{TraefikConfig, TraefikLabels};
use fresco_ports::free_port;

use stack::{PASSWORD, Stack, Wiring, nowhere};

/// A folder that every user may enter.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("fresco-doctor-{}-{}", std::process::id(), free_port());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn a_healthy_machine_is_told_to_be_so() {
    let stack = Stack::start().await;
    let said = stack.wiring.examine().await;
    assert_eq!(said.code, ExitCode::SUCCESS);
    assert!(said.text.contains("Nothing is wrong"));
    for words in [
        "Docker Engine",
        "keeps its containers apart",
        "fresco-dev/tenant-app:1 is here",
        "fresco_platform_app reaches platform at 127.0.0.1",
        "PostgreSQL 16",
        "may keep its tables in platform",
        "has CREATEROLE and CREATEDB, and is no superuser",
        "no database is open to every role",
        "enough for",
        &format!("tenants reach it at {}:{}", stack.gateway, stack.postgres()),
        "Traefik 3.",
        "web listens on 127.0.0.1",
        "it takes routes from Docker",
        "gets 404",
        "no server has written to",
        "is free for the server",
        "TENANT_MEMORY",
        "the same time as here",
        "is one of your own",
    ] {
        let finding = said.finding(words);
        assert!(finding.trim_start().starts_with("ok "), "{finding}");
    }
    // The default of a developer's machine is a warning.
    let placeholder = "your-super-secret-key-change-in-production";
    let said = stack.wiring.with("AUTH_SECRET", placeholder).examine().await;
    let finding = said.finding("AUTH_SECRET");
    assert!(finding.trim_start().starts_with("warning "), "{finding}");
    assert!(finding.contains("openssl rand"), "{finding}");
    assert_eq!(said.code, ExitCode::SUCCESS);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn no_docker_says_how_to_start_it() {
    let stack = Stack::start().await;
    let folder = Folder::new();
    let path = folder.0.join("docker.sock");
    let wiring = stack.wiring.with("DOCKER_HOST", path.display());
    wiring.examine().await.is_wrong("engine", &["there is no /", "docker", "$ sudo "]);
    // A socket that a dead engine left behind.
    drop(UnixListener::bind(&path).unwrap());
    let said = wiring.examine().await;
    said.is_wrong("engine", &["does not answer at", "it is not running", "$ sudo "]);
    // What Docker would have told is not made up; the rest is there.
    assert!(!said.text.contains("Image of new tenants"));
    said.finding("can be looked at once Docker answers");
    said.finding("Traefik 3.");
}

/// As the program itself, since root may open every socket.
#[test]
#[ignore = "needs Linux"]
fn no_right_to_docker_says_how_to_get_it() {
    let folder = Folder::new();
    let socket = folder.0.join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o000)).unwrap();
    // The folder that it was built in may be closed to others.
    let program = folder.0.join("fresco-server");
    std::fs::copy(env!("CARGO_BIN_EXE_fresco-server"), &program).unwrap();
    let mut command = Command::new(program);
    command.arg("doctor").env_clear().current_dir(&folder.0);
    command.envs(nowhere().with("DOCKER_HOST", socket.display()).pairs());
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("this user has no right to use"));
    assert!(text.contains("$ sudo usermod -aG docker $USER && newgrp docker"));
    assert!(!text.contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn logins_that_fail_are_told_apart() {
    let stack = Stack::start().await;
    let with = |url: String| stack.wiring.with("DATABASE_URL", url);
    let role = "fresco_platform_app";

    let said = with(stack.url(role, "hunter2-wrong", "platform")).examine().await;
    let words = [
        "refuses the password of fresco_platform_app in DATABASE_URL",
        r"\password fresco_platform_app",
    ];
    said.is_wrong("login", &words);

    let said = with(stack.url(role, PASSWORD, "nothing_here")).examine().await;
    said.is_wrong("login", &["has no database nothing_here"]);
    let statement = said.statement("login");
    assert_eq!(statement, "CREATE DATABASE nothing_here OWNER fresco_platform_app");
    stack.superuser(&statement).await;
    let said = with(stack.url(role, PASSWORD, "nothing_here")).examine().await;
    assert_eq!(said.code, ExitCode::SUCCESS, "the mend mends");

    // The administration has a URL of its own.
    let admin = stack.url(role, "hunter2-wrong", "platform");
    let said = stack.wiring.with("TENANT_DATABASE_ADMIN_URL", admin).examine().await;
    said.is_wrong("refuses the password", &["TENANT_DATABASE_ADMIN_URL"]);

    stack.superuser("ALTER ROLE fresco_platform_app NOLOGIN").await;
    let said = stack.wiring.examine().await;
    said.is_wrong("login", &["ALTER ROLE fresco_platform_app LOGIN"]);
    stack.superuser(&said.statement("login")).await;
    assert_eq!(stack.wiring.examine().await.code, ExitCode::SUCCESS, "the mend mends");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_server_that_is_not_there_is_told_from_another_program_at_its_port() {
    let port = free_port();
    let url = format!("postgresql://r:{PASSWORD}@127.0.0.1:{port}/platform");
    let wiring = nowhere().with("DATABASE_URL", url);
    wiring.examine().await.is_wrong(
        "login",
        &["does not answer at 127.0.0.1", "or DATABASE_URL names another", "a line DATABASE_URL="],
    );
    assert!(!wiring.examine().await.finding("  login ").contains("dev/stack"));
    // It takes connections and ends them.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let serving = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let me = format!("(pid {}) has that port", std::process::id());
    wiring
        .examine()
        .await
        .is_wrong("login", &["does not answer at 127.0.0.1", &me, "sudo ss -ltnp"]);
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn missing_rights_and_open_databases_come_with_the_statement_that_mends_them() {
    let stack = Stack::start().await;
    for (spoil, what, words, mend) in [
        (
            "ALTER ROLE fresco_platform_app NOCREATEROLE",
            "  role ",
            "fresco_platform_app lacks CREATEROLE",
            "ALTER ROLE fresco_platform_app CREATEROLE",
        ),
        (
            "ALTER ROLE fresco_platform_app NOCREATEDB NOCREATEROLE",
            "  role ",
            "lacks CREATEROLE and CREATEDB",
            "ALTER ROLE fresco_platform_app CREATEROLE CREATEDB",
        ),
        (
            "GRANT CONNECT ON DATABASE template1 TO PUBLIC",
            "PUBLIC",
            "every tenant's role may use these databases: template1",
            "REVOKE CONNECT, TEMPORARY ON DATABASE template1 FROM PUBLIC",
        ),
        (
            "GRANT TEMPORARY ON DATABASE postgres TO PUBLIC",
            "PUBLIC",
            "every tenant's role may use these databases: postgres",
            "REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC",
        ),
        (
            "ALTER DATABASE platform OWNER TO postgres",
            "  rights ",
            "fresco_platform_app may not make a schema in platform",
            "ALTER DATABASE platform OWNER TO fresco_platform_app",
        ),
    ] {
        stack.superuser(spoil).await;
        let said = stack.wiring.examine().await;
        said.is_wrong(what, &[words]);
        assert_eq!(said.statement(what), mend);
        stack.superuser(mend).await;
        assert_eq!(stack.wiring.examine().await.code, ExitCode::SUCCESS, "{mend} mends");
    }
    assert!(stack.wiring.examine().await.finding("temporary files").contains("at most 1024 MB"));
    stack.superuser("ALTER ROLE fresco_platform_app SET temp_file_limit = -1").await;
    let finding = stack.wiring.examine().await.finding("temporary files");
    assert!(finding.trim_start().starts_with("warning "), "{finding}");
    assert!(finding.contains("no limit"), "{finding}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn what_will_do_for_development_may_be_wrong_in_production() {
    let stack = Stack::start().await;
    let superuser = stack.url("postgres", PASSWORD, "platform");
    let wiring = stack.wiring.with("DATABASE_URL", superuser);
    let said = wiring.examine().await;
    assert!(said.finding("is a superuser").trim_start().starts_with("warning "));
    assert_eq!(said.code, ExitCode::SUCCESS);
    let said = wiring
        .with("PUBLIC_URL", "https://fresco.test")
        .with("TRUSTED_PROXIES", "127.0.0.1")
        .with("BASE_DOMAIN", "fresco.test")
        .with("SIGNUP", "open")
        .examine()
        .await;
    said.is_wrong("is a superuser", &["CREATE ROLE fresco_platform_app LOGIN CREATEROLE CREATEDB"]);
    said.is_wrong(
        "tenants' routes name the entry point websecure",
        &["docker run", "--entrypoints.websecure"],
    );
    said.finding("on the same server");
    said.finding("*.fresco.test leads nowhere");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn a_mail_server_is_tried_out() {
    let stack = Stack::start().await;
    stack.wiring.examine().await.finding("SMTP_URL is not set");
    let server = smtp::MailServer::starttls();
    let settings = server.settings();
    let with = |wiring: Wiring, change: &dyn Fn(&str, &str) -> String| {
        let settings = settings.iter();
        settings.fold(wiring, |wiring, (name, value)| wiring.with(name, change(name, value)))
    };
    let said = with(stack.wiring.clone(), &|_, value| value.to_owned()).examine().await;
    assert!(said.finding("lets the platform in").trim_start().starts_with("ok "), "{}", said.text);
    assert_eq!(server.letters(), Vec::<String>::new());
    let wrong = |_: &str, value: &str| value.replace("hunter2", PASSWORD);
    let said = with(stack.wiring.clone(), &wrong).examine().await;
    said.is_wrong("letters can't be sent", &["535", "SMTP_URL="]);
    assert!(!said.text.contains(PASSWORD), "{}", said.text);
    let nobody = format!("localhost:{}", free_port());
    let gone = |name: &str, value: &str| match value.rsplit_once('@') {
        Some((login, _)) if name == "SMTP_URL" => format!("{login}@{nobody}"),
        _ => value.to_owned(),
    };
    let said = with(stack.wiring.clone(), &gone).examine().await;
    said.is_wrong("letters can't be sent", &["refused"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn tenants_reach_their_server_and_no_other() {
    let stack = Stack::start().await;
    let way = "tenants' way";
    let port = free_port();
    let host = format!("{}:{port}", stack.gateway);
    let said = stack.wiring.with("TENANT_DATABASE_HOST", host).examine().await;
    said.is_wrong(way, &["does not answer at", &port.to_string(), "a line TENANT_DATABASE_HOST="]);
    assert!(!said.finding(way).contains("dev/stack"));
    let other = Stack::start().await;
    let host = format!("127.0.0.1:{}", other.postgres());
    // The same role and password there, and yet another server.
    let said = stack.wiring.with("TENANT_DATABASE_HOST", host).examine().await;
    said.is_wrong(way, &["another PostgreSQL"]);

    // It lets in whoever comes from loopback, and nobody else.
    let hba = stack.superuser("SHOW hba_file").await.remove(0);
    let rules = async |rules: &str| {
        stack.superuser(&format!("COPY (VALUES {rules}) TO '{hba}'")).await;
        stack.reload().await;
    };
    rules("('host all all 127.0.0.1/32 scram-sha-256')").await;
    let said = stack.wiring.examine().await;
    said.is_wrong(way, &["no pg_hba.conf entry for host", "'host all all samenet scram-sha-256'"]);
    let mended =
        "('host all all 127.0.0.1/32 scram-sha-256'), ('host all all samenet scram-sha-256')";
    rules(mended).await;
    assert_eq!(stack.wiring.examine().await.code, ExitCode::SUCCESS, "the mend mends");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn a_taken_port_is_named_with_its_owner_and_the_setting_that_moves_it() {
    let stack = Stack::start().await;
    let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = listener.local_addr().unwrap().port();
    let me = format!("(pid {})", std::process::id());
    for setting in ["PORT", "TRAEFIK_HTTP_PORT", "TRAEFIK_DASHBOARD_PORT"] {
        let said = stack.wiring.with(setting, port).examine().await;
        let taken = format!("127.0.0.1:{port} is taken by");
        let finding = said.finding(&taken);
        said.is_wrong(&taken, &[setting, &me, &format!("$ echo {setting}=")]);
        let (_, new) = finding.rsplit_once('=').unwrap();
        let new = new.trim_end_matches(" >>.env");
        assert!(TcpListener::bind(("127.0.0.1", new.parse().unwrap())).is_ok(), "{new} is free");
    }
    drop(listener);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn a_traefik_that_is_gone_or_set_up_otherwise() {
    let stack = Stack::start().await;
    let said = stack.wiring.with("TRAEFIK_DASHBOARD_PORT", free_port()).examine().await;
    said.is_wrong(
        "  API ",
        &[
            "Traefik's API does not answer: nothing answers at",
            "$ docker run",
            "--entrypoints.web.address=127.0.0.1:",
        ],
    );
    let said = stack.wiring.with("TRAEFIK_ENTRYPOINT", "outside").examine().await;
    said.is_wrong("entry point", &["outside", "it has only: traefik, web"]);
    let said = stack.wiring.with("TRAEFIK_HTTP_PORT", free_port()).examine().await;
    said.is_wrong("entry point", &["but TRAEFIK_HTTP_PORT is", "$ echo TRAEFIK_HTTP_PORT="]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, PostgreSQL and Traefik"]
async fn gates_that_traefik_does_not_reach_or_hears_nothing_of() {
    let stack = Stack::start().await;
    let folder = stack.folder.display().to_string();
    // Without a folder, opened gates need the server. The default app is one with a gate.
    let said = stack.wiring.without("TRAEFIK_DIRECTORY").examine().await;
    let finding = said.finding("TRAEFIK_DIRECTORY is not set");
    assert!(finding.trim_start().starts_with("warning ") && finding.contains("$ "), "{finding}");
    let said = stack.wiring.without("TRAEFIK_DIRECTORY").with("FRESCO_APP", "generic");
    assert!(!said.examine().await.text.contains("TRAEFIK_DIRECTORY"), "such apps have no gate");
    // One that is not there.
    let said = stack.wiring.with("TRAEFIK_DIRECTORY", "/no/such/folder").examine().await;
    said.is_wrong("is no folder that this user may write to", &["$ sudo install -d", "/no/such"]);

    // A server has been here, and is gone.
    let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let server = listener.local_addr().unwrap();
    let wiring = stack.wiring.with("PORT", server.port());
    let config = TraefikConfig::new(PlatformId::new()).directory(&stack.folder);
    let gate = Gate::new(format!("http://{server}/internal/gate/0"));
    TraefikLabels::new(config).write_sample("-gate.localhost", &gate).await.unwrap();
    drop(listener);
    let gone = until(&wiring, "gates are closed, since no server runs at").await;
    assert!(gone.trim_start().starts_with("ok ") && gone.contains(&folder), "{gone}");
    // It runs, and refuses whom it should.
    let listener = TcpListener::bind(server).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(
                b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    let well = until(&wiring, "and reaches the gate at").await;
    assert!(well.trim_start().starts_with("ok ") && well.contains(&folder), "{well}");

    // The server writes to a folder that Traefik does not read.
    let other = Folder::new();
    let config = TraefikConfig::new(PlatformId::new()).directory(&other.0);
    TraefikLabels::new(config).write_sample("-gate.localhost", &gate).await.unwrap();
    for file in std::fs::read_dir(&stack.folder).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let wiring = wiring.with("TRAEFIK_DIRECTORY", other.0.display());
    let finding = until(&wiring, "but from none in").await;
    assert!(finding.trim_start().starts_with("wrong "), "{finding}");
    assert!(finding.contains("--providers.file.directory="), "{finding}");
}

/// Asks the doctor until it says this.
async fn until(wiring: &Wiring, words: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let said = wiring.examine().await;
        if said.text.contains(words) {
            return said.finding(words);
        }
        assert!(Instant::now() < deadline, "no `{words}` in\n{}", said.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_network_and_an_image_that_will_not_do() {
    let wiring = nowhere();
    let name = wiring.pairs().find(|(name, _)| *name == "DOCKER_NETWORK").unwrap().1.to_owned();
    let docker = |arguments: &[&str]| {
        let done = Command::new("docker").args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    let said = wiring.with("FRESCO_IMAGE", "127.0.0.1:9/no/such:image").examine().await;
    said.is_wrong("can't be fetched", &["docker pull 127.0.0.1:9/no/such:image", "tenant-app"]);
    let network = said.finding("there is no network");
    assert!(network.trim_start().starts_with("warning "), "{network}");

    let said = wiring.with("DOCKER_NETWORK", "bridge").examine().await;
    said.is_wrong("bridge is one of Docker's own", &["DOCKER_NETWORK=fresco-platform-network"]);

    docker(&["network", "create", "--label", "fresco.test=doctor", &name]);
    let said = wiring.examine().await;
    docker(&["network", "rm", &name]);
    let mend = format!("$ docker network rm {name}");
    said.is_wrong("lets its containers talk to each other", &[&mend]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Linux, and takes 10 s"]
async fn what_hangs_does_not_stop_the_rest() {
    // They take connections and never answer.
    let silent = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [docker, postgres, traefik] = [0, 1, 2].map(|n: usize| silent[n].local_addr().unwrap());
    let url = format!("postgresql://r:{PASSWORD}@{postgres}/platform");
    let wiring = nowhere()
        .with("DOCKER_HOST", format!("tcp://{docker}"))
        .with("DATABASE_URL", url)
        .with("TRAEFIK_DASHBOARD_PORT", traefik.port());
    let begun = Instant::now();
    let said = wiring.examine().await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    said.is_wrong("engine", &["gave no answer within"]);
    said.is_wrong("login", &[&postgres.to_string()]);
    said.is_wrong("  API ", &["gave no answer within"]);
    said.finding("is free for the server");
}
