//! Browsers: links, sessions, and pages of others.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::process::{Process, Server, run, wait};
use crate::{ask, bearer, json_of, plain, said, server, status, token};

/// The value of the session's cookie, and its attributes.
fn enter(server: &Server, link: &str, headers: &[(&str, &str)]) -> (String, String) {
    let response = ask(&format!("{}{link}", server.url()), "GET", headers);
    assert_eq!(response.status().as_u16(), 303);
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    let cookie = response.headers()["set-cookie"].to_str().expect("text");
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    (pair.to_owned(), attributes.to_owned())
}

fn link(server: &Server, token: &str) -> String {
    let url = format!("{}/api/v1/session/link", server.url());
    let answer = json_of(ask(&url, "POST", &[("Authorization", &bearer(token))]));
    answer["link"].as_str().expect("a link").to_owned()
}

#[test]
fn a_browser_gets_in_by_a_link_once() {
    let (_folder, server) = server(&[]);
    let operator = token(&server, "ops", "operator");
    let path = link(&server, &operator);
    let url = format!("{}{path}", server.url());
    // A preview does not use it up; nor does a wrong code open anything.
    assert_eq!(status(&url, "HEAD", &[]), 204);
    assert_eq!(status(&format!("{url}0"), "GET", &[]), 401);
    let (pair, attributes) = enter(&server, &path, &[]);
    assert_eq!(
        attributes,
        "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"
    );
    assert_eq!(status(&url, "GET", &[]), 401);
    let (_, secure) = enter(
        &server,
        &link(&server, &operator),
        &[("X-Forwarded-Proto", "https")],
    );
    assert!(secure.ends_with("; Secure"), "{secure}");

    let cookie = ("Cookie", pair.as_str());
    let origin = format!("http://{}", server.http);
    let at = |path: &str| format!("{}/api/v1/{path}", server.url());
    let shown = json_of(ask(&at("session"), "GET", &[cookie]));
    assert_eq!(
        shown,
        json!({ "name": "ops", "role": "operator", "browser": true })
    );
    let own = ("Sec-Fetch-Site", "same-origin");
    // What a page of this server asks, and what others ask by its cookie.
    for (headers, get, delete) in [
        (&[cookie, own][..], 200, 404),
        (&[cookie, ("Origin", &origin)], 200, 404),
        (&[cookie], 200, 403),
        (&[cookie, ("Sec-Fetch-Site", "none")], 200, 401),
        (&[cookie, ("Sec-Fetch-Site", "same-site")], 401, 403),
        (&[cookie, ("Sec-Fetch-Site", "cross-site")], 401, 403),
        (&[cookie, ("Origin", "http://evil.example")], 200, 403),
        (&[("Cookie", "tinsmith_0=00"), own], 401, 401),
    ] {
        assert_eq!(status(&at("devices"), "GET", headers), get, "{headers:?}");
        assert_eq!(
            status(&at("devices/x"), "DELETE", headers),
            delete,
            "{headers:?}"
        );
    }
    assert_eq!(status(&at("tokens"), "GET", &[cookie, own]), 403);
    // A session makes no link: it would never end.
    assert_eq!(status(&at("session/link"), "POST", &[cookie, own]), 409);
    assert_eq!(status(&at("session"), "DELETE", &[cookie, own]), 200);
    assert_eq!(status(&at("session"), "GET", &[cookie]), 401);

    // A session ends with its token.
    let (pair, _) = enter(&server, &link(&server, &operator), &[]);
    let cookie = ("Cookie", pair.as_str());
    let unused = link(&server, &operator);
    assert_eq!(status(&at("session"), "GET", &[cookie]), 200);
    assert!(
        run(&["token", "remove", "ops", "--server", &server.url()])
            .status
            .success()
    );
    assert_eq!(status(&at("session"), "GET", &[cookie]), 401);
    assert_eq!(
        status(&format!("{}{unused}", server.url()), "GET", &[]),
        401
    );

    // Nor is there an end of sessions that a token opens.
    let viewer = token(&server, "looks", "viewer");
    let authorization = bearer(&viewer);
    let headers = [("Authorization", authorization.as_str())];
    let asks = (0..12).map(|_| status(&at("session/link"), "POST", &headers));
    let asks: Vec<u16> = asks.collect();
    assert_eq!((asks[0], asks[11]), (200, 429), "{asks:?}");

    let output = run(&["login", "--server", &server.url()]);
    let text = said(&output);
    let path = text
        .trim()
        .strip_prefix(&server.url())
        .expect("a link")
        .to_owned();
    enter(&server, &path, &[]);
}

#[test]
fn serve_prints_a_link_on_a_terminal_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let any = "127.0.0.1:0";
    let serve = |command: &mut Command| {
        let command = command.args(["serve", "--coap", any, "--bootstrap", any, "--http", any]);
        command
            .arg("--store")
            .arg(&store)
            .env("TINSMITH_HTTP_RATE", "9")
            .stdin(Stdio::null());
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    let words = serve(&mut plain());
    // Not to a pipe, which may be a log.
    let mut child = plain()
        .args(&words)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut text = vec![0; 4096];
    let mut len = 0;
    while !String::from_utf8_lossy(&text[..len]).contains("Next:") {
        let read = stdout.read(&mut text[len..]).expect("text");
        assert!(read > 0, "{}", String::from_utf8_lossy(&text[..len]));
        len += read;
    }
    let process = Process::own(child);
    let said = String::from_utf8_lossy(&text[..len]).into_owned();
    assert!(
        said.contains("tinsmith login") && !said.contains("code="),
        "{said}"
    );
    drop(process);

    let log = folder.path().join("terminal");
    let program = env!("CARGO_BIN_EXE_tinsmith");
    let child = Command::new("script")
        .args(["-qfec", &format!("exec {program} {}", words.join(" "))])
        .arg(&log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let child = match child {
        Err(error) => {
            let strict = std::env::var("TINSMITH_REQUIRE_TOOLS").is_ok_and(|v| v == "1");
            assert!(!strict, "'script' is missing: {error}");
            eprintln!("skipped: there is no 'script' that makes a terminal");
            return;
        }
        Ok(child) => child,
    };
    let _process = Process::own(child);
    let url = wait("a link", 30, || {
        let text = fs::read_to_string(&log).ok()?;
        let at = text.find("/login?code=")?;
        let line = text[..at].rfind('\n').map_or(0, |start| start + 1);
        text[line..]
            .lines()
            .next()
            .map(|line| line.trim().to_owned())
            .filter(|_| text.contains("Next:"))
    });
    let response = ask(&url, "GET", &[]);
    assert_eq!(response.status().as_u16(), 303, "{url}");
    assert_eq!(status(&url, "GET", &[]), 401);
}
