//! Tokens: the first one, and those that are made and removed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::process::{Process, TOKEN, run};
use crate::{audit_of, bearer, plain, said, server, status};

#[test]
fn the_first_start_makes_a_token_that_commands_find() {
    let folder = tempfile::tempdir().expect("a folder");
    let any = "127.0.0.1:0";
    let mut child = plain()
        .current_dir(folder.path())
        .args(["serve", "--json", "--coap", any, "--bootstrap", any])
        .args(["--http", any])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("text");
    let _process = Process::own(child);
    let told: Value = serde_json::from_str(&line).expect("JSON");
    assert!(!line.contains("tinsmith_"), "{line}");
    let url = told["url"].as_str().expect("a URL");

    let store = folder.path().join("tinsmith-data");
    let file = store.join("admin-token");
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&file), 0o600);
    for path in ["", "records", "files", "incoming"] {
        assert_eq!(mode(&store.join(path)), 0o700, "{path}");
    }
    let text = fs::read_to_string(&file).expect("text");
    assert!(
        text.starts_with("tinsmith_") && text.trim().len() == 73,
        "{}",
        text.len()
    );

    let list = |command: &mut Command| {
        let command = command.args(["device", "list", "--server", url]);
        command.output().expect("the program starts")
    };
    // Where the server was started, by the folder, its variable, and a configuration.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let config = elsewhere.path().join("tinsmith.toml");
    fs::write(
        &config,
        format!("store = {:?}\n", store.display().to_string()),
    )
    .expect("a file");
    let there = |command: &mut Command| {
        command.current_dir(elsewhere.path());
        said(&list(command))
    };
    assert!(list(plain().current_dir(folder.path())).status.success());
    assert!(!there(plain().env("TINSMITH_STORE", &store)).contains("error"));
    assert!(!there(plain().env("TINSMITH_CONFIG", &config)).contains("error"));
    assert!(!there(plain().env("TINSMITH_TOKEN", text.trim())).contains("error"));
    let mut given = plain();
    given
        .arg("device")
        .args(["list", "--server", url, "--store"])
        .arg(&store);
    assert!(given.output().expect("the program starts").status.success());
    let without = there(&mut plain());
    assert!(
        without.contains("asks for a token") && without.contains("--store"),
        "{without}"
    );
    let wrong = there(plain().env("TINSMITH_TOKEN", TOKEN));
    assert!(wrong.contains("does not know the token"), "{wrong}");
    let none = there(plain().env("TINSMITH_TOKEN", "secret"));
    assert!(
        none.contains("64 hexadecimal digits") && !none.contains("secret"),
        "{none}"
    );
}

#[test]
fn tokens_are_made_used_and_removed() {
    let (folder, mut server) = server(&[]);
    let url = server.url();
    let text = said(&run(&[
        "token",
        "new",
        "ci",
        "--role",
        "operator",
        "--expires",
        "30",
        "--server",
        &url,
    ]));
    assert!(text.starts_with("tinsmith_"), "{text}");
    let authorization = bearer(text.trim());
    let headers = [("Authorization", authorization.as_str())];
    let devices = format!("{url}/api/v1/devices");
    assert_eq!(status(&devices, "GET", &headers), 200);

    let listed = said(&run(&["token", "list", "--server", &url]));
    let row = listed.lines().find(|line| line.starts_with("ci"));
    let row = row.unwrap_or_else(|| panic!("{listed}"));
    assert!(row.contains("operator") && row.contains("Z"), "{listed}");
    assert!(!listed.contains("tinsmith_"), "{listed}");
    let tokens = server.get("tokens");
    assert!(!tokens.to_string().contains("tinsmith_"), "{tokens}");
    let ci = &tokens["tokens"][1];
    let days = (ci["expires"].as_u64().zip(ci["made"].as_u64())).map(|(a, b)| (a - b) / 86_400_000);
    assert_eq!((&ci["name"], days), (&json!("ci"), Some(30)));
    assert!(ci["used"].as_u64() >= ci["made"].as_u64());

    let again = said(&run(&[
        "token", "new", "ci", "--role", "viewer", "--server", &url,
    ]));
    assert!(again.contains("there is a token 'ci' already"), "{again}");
    let role = run(&["token", "new", "x", "--role", "root", "--server", &url]);
    assert_eq!(role.status.code(), Some(2));
    assert!(said(&role).contains("viewer, operator or admin"));
    let last = said(&run(&["token", "remove", "admin", "--server", &url]));
    assert!(last.contains("last admin token"), "{last}");

    // Over a crash too, and what is stored is no secret.
    server.restart();
    assert_eq!(status(&devices, "GET", &headers), 200);
    let secret = text.trim().as_bytes();
    let digits = &secret["tinsmith_".len()..];
    for file in fs::read_dir(folder.path().join("store/records")).expect("a folder") {
        let path = file.expect("a file").path();
        if path.is_file() {
            let bytes = fs::read(&path).expect("a file");
            let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
            assert!(!has(digits), "{}", path.display());
        }
    }

    assert!(
        run(&["token", "remove", "ci", "--server", &url])
            .status
            .success()
    );
    assert_eq!(status(&devices, "GET", &headers), 401);
    server.restart();
    assert_eq!(status(&devices, "GET", &headers), 401);
    let gone = said(&run(&["token", "remove", "ci", "--server", &url]));
    assert!(gone.contains("no token 'ci'"), "{gone}");
}

#[test]
fn a_lost_token_is_replaced_by_who_has_the_store() {
    let (folder, mut server) = server(&[]);
    let store = folder.path().join("store").display().to_string();
    let make = || {
        run(&[
            "token",
            "new",
            "new",
            "--role",
            "admin",
            "--offline",
            "--store",
            &store,
        ])
    };
    let busy = said(&make());
    assert!(
        busy.contains("belongs to a tinsmith that is running"),
        "{busy}"
    );
    server.kill();
    let text = said(&make());
    assert!(text.starts_with("tinsmith_"), "{text}");
    server.restart();
    let url = format!("{}/api/v1/tokens", server.url());
    assert_eq!(
        status(&url, "GET", &[("Authorization", &bearer(text.trim()))]),
        200
    );
    let entries = audit_of(&server);
    let made = entries
        .iter()
        .filter(|entry| entry["operation"] == "token.make");
    let names: Vec<&Value> = made.map(|entry| &entry["detail"]["name"]).collect();
    assert_eq!(names, ["admin", "new"]);
}
