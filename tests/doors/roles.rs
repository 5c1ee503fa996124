//! Each route asks for its role, and nobody asks too much.

use serde_json::json;
use tinsmith_http::routes;

use crate::common::process::{Server, TOKEN, run};
use crate::{ask, bearer, json_of, said, server, status, token};

#[test]
fn every_route_asks_for_its_role() {
    let (_folder, server) = server(&["--http-wrong-tokens", "100000"]);
    let roles = ["viewer", "operator", "admin"];
    let tokens = roles.map(|role| token(&server, &format!("a-{role}"), role));
    let mut walked = 0;
    for (method, path, role) in routes() {
        let place = |text: &str| {
            let parts = text.split('/').map(|part| match part.starts_with('{') {
                true => "x",
                false => part,
            });
            parts.collect::<Vec<_>>().join("/")
        };
        let url = format!("{}{}", server.url(), place(path));
        let what = format!("{method} {path}");
        let rank = role.map(|role| roles.iter().position(|name| *name == role.name()));
        let Some(rank) = rank else {
            let found = status(&url, &method, &[]);
            assert!(![401, 403].contains(&found), "{what} is open: {found}");
            continue;
        };
        let rank = rank.expect("a role");
        walked += 1;
        // Nobody without a token, or with one that opens nothing.
        let wrong = format!("Bearer tinsmith_{}", "ab".repeat(32));
        for headers in [
            &[][..],
            &[("Authorization", wrong.as_str())],
            &[("Authorization", "Bearer x")],
            &[("Authorization", "Basic YTpi")],
            &[("Cookie", "tinsmith_1=x")],
        ] {
            let response = ask(&url, &method, headers);
            let challenge = response.headers().get("www-authenticate").cloned();
            let bad = headers.iter().any(|(name, _)| *name == "Cookie");
            let expected = match response.status().as_u16() {
                // A cookie alone changes nothing.
                403 if bad && method != "GET" => continue,
                status => status,
            };
            assert_eq!(expected, 401, "{what} {headers:?}");
            let challenge = challenge.expect("how to come in");
            assert!(challenge.to_str().expect("text").starts_with("Bearer"));
            assert_eq!(json_of(response)["error"]["code"], "unauthorized", "{what}");
        }
        for (has, token) in tokens.iter().enumerate() {
            let authorization = bearer(token);
            let response = ask(&url, &method, &[("Authorization", &authorization)]);
            let status = response.status().as_u16();
            if has < rank {
                assert_eq!(status, 403, "{what} as {}", roles[has]);
                assert_eq!(json_of(response)["error"]["code"], "forbidden", "{what}");
            } else {
                assert!(![401, 403].contains(&status), "{what}: {status}");
            }
        }
        // Other methods, and paths that are not there, tell strangers nothing.
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
            assert_eq!(status(&url, method, &[]), 401, "{method} {path}");
        }
    }
    assert!(walked > 25, "{walked} routes");
    assert_eq!(status(&format!("{}/x", server.url()), "GET", &[]), 401);
    // What was walked has not removed who walks.
    let url = format!("{}/api/v1/session", server.url());
    let shown = json_of(ask(&url, "GET", &[("Authorization", &bearer(&tokens[0]))]));
    assert_eq!(
        shown,
        json!({ "name": "a-viewer", "role": "viewer", "browser": false })
    );
}

#[test]
fn metrics_can_be_opened() {
    let (_folder, server) = server(&["--metrics-open"]);
    assert_eq!(
        status(&format!("{}/metrics", server.url()), "GET", &[]),
        200
    );
    let url = format!("{}/api/v1/devices", server.url());
    assert_eq!(status(&url, "GET", &[]), 401);
}

#[test]
fn too_much_is_told_when_to_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ["--http-rate", "5", "--http-wrong-tokens", "3"].map(str::to_owned);
    let server = Server::start(&folder.path().join("store"), &options);
    let url = format!("{}/api/v1/session", server.url());
    let right = bearer(TOKEN);
    let right = [("Authorization", right.as_str())];
    let wrong = format!("Bearer tinsmith_{}", "ab".repeat(32));
    let wrong = [("Authorization", wrong.as_str())];
    let mut tried = Vec::new();
    for _ in 0..5 {
        tried.push(status(&url, "GET", &wrong));
    }
    assert_eq!(tried, [401, 401, 401, 429, 429]);
    // Who has a right one is let in all the same, and is counted by it.
    let mut seen = Vec::new();
    for _ in 0..20 {
        let response = ask(&url, "GET", &right);
        let status = response.status().as_u16();
        if status == 429 {
            let seconds = response.headers()["retry-after"].to_str().expect("text");
            assert_eq!(seconds, "1");
            assert_eq!(json_of(response)["error"]["code"], "too_many_requests");
        }
        seen.push(status);
    }
    assert_eq!(seen[0], 200);
    assert!(seen.contains(&429) && !seen.contains(&401), "{seen:?}");
    // A command waits.
    for _ in 0..4 {
        let output = run(&["device", "list", "--server", &server.url()]);
        assert!(output.status.success(), "{}", said(&output));
    }
}
