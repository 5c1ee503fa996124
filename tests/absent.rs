//! What is asked of a device that is not there.
#![cfg(feature = "compiler")]

mod common;

use std::time::{Duration, Instant};

use common::process::{Device, Server, agent, wait};
use serde_json::{Value, json};

#[test]
fn what_is_asked_of_an_absent_device_waits_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let lifetime = ["--lifetime".to_owned(), "5".to_owned()];
    let mut server = Server::start(&folder.path().join("store"), &lifetime);
    let flash = folder.path().join("flash");
    let mut device = Device::start("dev", server.bootstrap, "nrf52840", &flash);
    server.registered("dev");
    let seen = server.get("devices/dev")["seen"].as_u64().expect("a time");
    assert!(seen > 1_700_000_000_000);
    let (status, answer) = server
        .ask("GET", "devices/dev/resources/3/0/0?later=60", &Value::Null)
        .expect("an answer");
    assert_eq!(status, 200, "it is there: {answer:#}");
    assert_eq!(answer["values"][0]["path"], "/3/0/0");

    // It is gone, and the server does not know it yet: the Read is bounded.
    device.kill();
    let began = Instant::now();
    let read = "devices/dev/resources/3/0/1?timeout=1";
    let (status, answer) = server.ask("GET", read, &Value::Null).expect("an answer");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(matches!(status, 404 | 504), "{answer:#}");
    let began = Instant::now();
    let infer = |how: &str| {
        let path = format!("devices/dev/infer?{how}");
        let body = json!({ "input": [0.0] });
        server.ask("POST", &path, &body).expect("an answer")
    };
    let (status, answer) = infer("timeout=1");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(matches!(status, 404 | 504), "{answer:#}");
    for wrong in ["timeout=0", "timeout=601", "later=60"] {
        assert_eq!(infer(wrong).0, 400, "{wrong}");
    }
    for wrong in ["timeout=0", "timeout=601", "later=x", "soon=1"] {
        let path = format!("devices/dev/resources/3/0/1?{wrong}");
        let (status, answer) = server.ask("GET", &path, &Value::Null).expect("an answer");
        assert_eq!(status, 400, "{wrong}: {answer:#}");
    }

    // Its registration ends. It is known if something is wanted of it.
    server.want("dev", "motion");
    wait("the registration ends", 60, || {
        let device = server.get("devices/dev");
        (device["registered"] == false && device["online"] == false).then_some(())
    });
    let (status, answer) = server
        .ask("GET", "devices/dev/resources/3/0/0", &Value::Null)
        .expect("an answer");
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(status == 404 && message.contains("later="), "{answer:#}");
    let later = |path: &str| {
        let path = format!("devices/dev/resources/{path}?later=600");
        server.ask("GET", &path, &Value::Null).expect("an answer")
    };
    let (status, first) = later("3/0/0");
    assert_eq!(
        (status, &first["state"]),
        (202, &json!("waiting")),
        "{first:#}"
    );
    let (_, second) = later("3/0/1");
    let (_, third) = later("3/0/99");
    let (status, answer) = server
        .ask(
            "GET",
            "devices/nobody/resources/3/0/0?later=600",
            &Value::Null,
        )
        .expect("an answer");
    assert_eq!(status, 404, "{answer:#}");
    let result = |value: &Value| {
        let path = value["result"].as_str().expect("a path");
        path.trim_start_matches("/api/v1/").to_owned()
    };
    let (first, second, third) = (result(&first), result(&second), result(&third));
    let (status, taken) = server
        .ask("DELETE", &second, &Value::Null)
        .expect("an answer");
    assert_eq!(
        (status, &taken["state"]),
        (200, &json!("ended")),
        "{taken:#}"
    );
    assert_eq!(taken["status"], 409);

    // Over the end of the server too.
    server.restart();
    device.restart();
    let ended = |path: &str| {
        wait("the result", 60, || {
            let (status, value) = server.ask("GET", path, &Value::Null)?;
            (status == 200 && value["state"] == "ended").then_some(value)
        })
    };
    let value = ended(&first);
    assert_eq!(value["answer"]["values"][0]["path"], "/3/0/0", "{value:#}");
    assert_eq!(ended(&third)["answer"]["error"]["code"], "device_refused");
    let (status, _) = server
        .ask("GET", "requests/7", &Value::Null)
        .expect("an answer");
    assert_eq!(status, 404);
    let metrics = agent().get(format!("{}/metrics", server.url()));
    let mut metrics = metrics.call().expect("an answer");
    let metrics = metrics.body_mut().read_to_string().expect("text");
    for line in [
        "tinsmith_devices_registered 1",
        "tinsmith_devices_reachable 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}: {metrics}"
        );
    }
}
