//! The app of the backends' own tests: it needs no database and does what a test asks of it.
//!
//! One file, the standard library alone, so that `rustc` builds it within seconds.
//!
//! At boot, by environment: `PORT` (3000), `PRINT` and `PRINT_ERR` (lines to write), `EXIT_CODE`
//! (end with it), `EAT_MB` (use memory), `IGNORE_TERM` (don't end on SIGTERM), `SILENT` (never
//! listen), `HANG` (never answer), `HEADER` (a line added to every answer).
//! By path: `/signin` 200, `/` a redirect, `/env/NAME` its value, `/status/N` that status,
//! `/connect/ADDRESS` 200 if a TCP connection succeeds, `/write/PATH` 200 if a file can be made,
//! `/print/TEXT`, `/eat/MB`, `/exit/CODE`, `/hang` no answer.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn main() {
    if variable("IGNORE_TERM").is_some() {
        unsafe extern "C" {
            fn signal(number: i32, handler: usize) -> usize;
        }
        // SAFETY: 15 is SIGTERM and 1 is SIG_IGN on every Linux; no handler of ours runs.
        unsafe { signal(15, 1) };
    }
    if let Some(text) = variable("PRINT") {
        println!("{text}");
    }
    if let Some(text) = variable("PRINT_ERR") {
        eprintln!("{text}");
    }
    if let Some(megabytes) = variable("EAT_MB") {
        eat(megabytes.parse().expect("EAT_MB is a number"));
    }
    if let Some(code) = variable("EXIT_CODE") {
        std::process::exit(code.parse().expect("EXIT_CODE is a number"));
    }
    while variable("SILENT").is_some() {
        std::thread::park();
    }
    let port: u16 = variable("PORT").map_or(3000, |port| port.parse().expect("PORT is a number"));
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("the port is free");
    println!("listening on {port}");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}

fn eat(megabytes: usize) {
    // Written to, page by page, so that it really is used.
    std::mem::forget(vec![1_u8; megabytes << 20]);
}

fn serve(mut stream: TcpStream) {
    while variable("HANG").is_some() {
        std::thread::park();
    }
    let Ok(reading) = stream.try_clone() else { return };
    let mut lines = BufReader::new(reading.take(64 * 1024)).lines();
    let Some(Ok(first)) = lines.next() else { return };
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let path = first.split(' ').nth(1).unwrap_or("/");
    let (status, body) = answer(path);
    let mut head =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    if status == 308 {
        head.push_str("Location: /signin\r\n");
    }
    if let Some(header) = variable("HEADER") {
        head.push_str(&format!("{header}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
}

fn answer(path: &str) -> (u16, String) {
    let (command, value) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let done = |result: std::io::Result<()>| match result {
        Ok(()) => (200, "done".to_owned()),
        Err(e) => (500, e.to_string()),
    };
    match command {
        "" => (308, String::new()),
        "signin" => (200, "sign in".into()),
        "env" => variable(value).map_or((404, String::new()), |text| (200, text)),
        "status" => (value.parse().unwrap_or(400), String::new()),
        "connect" => match value.parse::<SocketAddr>() {
            Ok(to) => done(TcpStream::connect_timeout(&to, Duration::from_secs(1)).map(drop)),
            Err(e) => (400, e.to_string()),
        },
        "write" => done(std::fs::write(format!("/{value}"), "written")),
        "print" => {
            println!("{value}");
            (200, String::new())
        }
        "eat" => {
            eat(value.parse().unwrap_or(0));
            (200, String::new())
        }
        "exit" => std::process::exit(value.parse().unwrap_or(1)),
        "hang" => loop {
            std::thread::park();
        },
        _ => (404, String::new()),
    }
}
