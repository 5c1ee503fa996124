//! What was changed is written down, and secrets are not.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::process::{TOKEN, agent, kill_now, run, serve};
use crate::common::times;
use crate::{ask, audit_of, bearer, said, server, status, token};

#[test]
fn changes_are_written_down_before_they_are_made() {
    let (_folder, mut server) = server(&["--audit", "100"]);
    let url = server.url();
    let operator = token(&server, "ops", "operator");
    let authorization = bearer(&operator);
    let headers = [("Authorization", authorization.as_str())];
    let body = json!({ "model": "motion", "expect": true });
    let want = agent().put(format!("{url}/api/v1/devices/dev/model"));
    assert_eq!(
        want.send_json(&body).expect("an answer").status().as_u16(),
        200
    );
    assert_eq!(
        status(
            &format!("{url}/api/v1/devices/no%0Abody"),
            "DELETE",
            &headers
        ),
        404
    );
    // Looking changes nothing, and who may not has changed nothing.
    assert_eq!(
        status(&format!("{url}/api/v1/devices"), "GET", &headers),
        200
    );
    assert_eq!(
        status(&format!("{url}/api/v1/tokens/admin"), "DELETE", &headers),
        403
    );
    // A value may be a secret.
    let write = agent().put(format!("{url}/api/v1/devices/dev/resources/3/0/15"));
    let value = json!({ "value": "a-secret-value" });
    assert_eq!(
        write
            .send_json(&value)
            .expect("an answer")
            .status()
            .as_u16(),
        404
    );

    server.restart();
    let entries = audit_of(&server);
    let brief: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let outcome = &entry["outcome"];
            json!([
                entry["who"]["name"],
                entry["operation"],
                entry["target"],
                outcome["answer"]
            ])
        })
        .collect();
    let path = "/api/v1/devices";
    let expected = [
        json!(["(server)", "token.make", "", ""]),
        json!(["admin", "token.make", "/api/v1/tokens", "201"]),
        json!(["admin", "device.want", format!("{path}/dev/model"), "200"]),
        json!([
            "ops",
            "device.remove",
            format!("{path}/no%0Abody"),
            "404 not_found"
        ]),
        json!([
            "admin",
            "resource.write",
            format!("{path}/dev/resources/3/0/15"),
            "404 not_found"
        ]),
    ];
    assert_eq!(brief, expected, "{entries:#?}");
    assert_eq!(
        entries[2]["detail"],
        json!({ "model": "motion", "expect": "true" })
    );
    assert_eq!(
        entries[1]["detail"],
        json!({ "name": "ops", "role": "operator" })
    );
    assert_eq!(entries[3]["who"]["role"], "operator");
    assert!(
        entries[3]["from"]
            .as_str()
            .is_some_and(|from| from.starts_with("127.0.0.1:"))
    );
    let all = json!(entries).to_string();
    assert!(
        !all.contains("a-secret-value") && !all.contains(&operator),
        "{all}"
    );

    let shown = said(&run(&["audit", "--server", &url]));
    assert_eq!(shown.lines().count(), 6, "{shown}");
    assert!(
        shown.contains("model=motion") && shown.contains("not_found"),
        "{shown}"
    );
    let last = said(&run(&["audit", "--last", "1", "--json", "--server", &url]));
    let last: Value = serde_json::from_str(&last).expect("a line of JSON");
    assert_eq!(last["operation"], "resource.write");
    let none = run(&["audit", "--since", "2099-01-01", "--json", "--server", &url]);
    assert_eq!(said(&none), "");
    let recent = said(&run(&[
        "audit", "--since", "1h", "--json", "--server", &url,
    ]));
    assert_eq!(recent.lines().count(), 5);

    // As many as are to be kept.
    for _ in 0..120 {
        assert_eq!(
            status(&format!("{url}/api/v1/devices/x"), "DELETE", &headers),
            404
        );
    }
    assert_eq!(audit_of(&server).len(), 100);
}

#[test]
fn a_killed_server_has_written_down_what_it_did() {
    let (_folder, mut server) = server(&[]);
    for round in 0..times("TINSMITH_KILLS", 50).min(200) {
        let endpoint = format!("dev-{round}");
        std::thread::scope(|scope| {
            let at = &server;
            scope.spawn(move || at.try_want(&format!("dev-{round}"), "motion"));
            std::thread::sleep(Duration::from_micros(500 * (round as u64 % 40)));
            kill_now(server.pid());
        });
        server.restart();
        let known = server.ask("GET", &format!("devices/{endpoint}"), &Value::Null);
        let wanted = matches!(&known, Some((200, device)) if device["desired"].is_object());
        let page = server.get("audit?last=1");
        let written = page["entries"][0]["target"] == format!("/api/v1/devices/{endpoint}/model");
        assert!(written || !wanted, "round {round}: {known:?} {page:#}");
    }
}

#[test]
fn secrets_are_in_no_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let store = folder.path().join("store");
    let mut child = serve(&store)
        .args(["-vvv", "--http-wrong-tokens", "100000"])
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("text");
    let told: Value = serde_json::from_str(&line).expect("JSON");
    let url = told["url"].as_str().expect("a URL");
    let made = run(&[
        "-vvv", "token", "new", "ci", "--role", "viewer", "--server", url, "--json",
    ]);
    let made_said = String::from_utf8_lossy(&made.stderr).into_owned();
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let made = made["token"].as_str().expect("a token").to_owned();
    let login = run(&["-vvv", "login", "--server", url]);
    let login_said = String::from_utf8_lossy(&login.stderr).into_owned();
    let login = String::from_utf8(login.stdout).expect("text");
    let code = login
        .trim()
        .split_once("code=")
        .expect("a code")
        .1
        .to_owned();
    let response = ask(login.trim(), "GET", &[]);
    let cookie = response.headers()["set-cookie"].to_str().expect("text");
    let cookie = cookie.split(['=', ';']).nth(1).expect("a value").to_owned();
    let wrong = "ab".repeat(32);
    let headers = [("Authorization", format!("Bearer tinsmith_{wrong}"))];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(
        status(&format!("{url}/api/v1/devices"), "GET", &headers),
        401
    );
    child.kill().expect("it runs");
    let _ = child.wait();
    let log = fs::read_to_string(&log).expect("the log") + &made_said + &login_said;
    assert!(log.contains("a key that opens nothing was shown"), "{log}");
    for secret in [TOKEN, &made, &code, &cookie, &wrong] {
        let digits = secret.trim_start_matches("tinsmith_");
        assert!(!digits.is_empty() && !log.contains(digits), "{secret}");
    }
}
