//! The HTTP listener as browsers, scripts and those who mean no good use it.
#![cfg(feature = "compiler")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use common::process::{Device, Server, TOKEN, run};
use serde_json::{Value, json};

/// A server with a device that has registered.
struct Site {
    _folder: tempfile::TempDir,
    server: Server,
    _device: Device,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&folder.path().join("store"), &[]);
        let flash = folder.path().join("flash");
        let device = Device::start("dev", server.bootstrap, "nrf52840", &flash);
        server.registered("dev");
        Self {
            _folder: folder,
            server,
            _device: device,
        }
    }
}

fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("store"), &[]);
    (folder, server)
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("the server listens");
    let wait = Some(Duration::from_secs(60));
    stream.set_read_timeout(wait).expect("a time-out");
    stream.set_write_timeout(wait).expect("a time-out");
    stream
}

/// Sends a request as it is; status and body of the answer.
fn raw(to: SocketAddr, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = connect(to);
    let head = format!(
        "{}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n",
        head.replace('\n', "\r\n")
    );
    stream.write_all(head.as_bytes()).expect("it is taken");
    // The server may have answered and closed before it had all of it.
    let _ = stream.write_all(body);
    answer(&mut stream)
}

fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut all = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => all.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("no answer: {error}"),
        }
    }
    let text = String::from_utf8_lossy(&all).into_owned();
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (
        status.unwrap_or_else(|| panic!("no status: {text:?}")),
        body.to_owned(),
    )
}

/// The most memory that a process ever used, in MB.
fn peak(server: &Server) -> u64 {
    let path = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kb.expect("a number") / 1024
}

#[test]
fn every_caller_gets_the_answer_to_its_own_sample() {
    let site = Site::new();
    site.server.want("dev", "motion");
    site.server.installed("dev", "motion");
    let sample = |caller: usize, index: usize| -> Vec<f32> {
        let at = |n: usize| ((n * (caller * 7 + index % 9 + 1)) as f32 * 0.37).sin() * 9.0;
        (0..384).map(at).collect()
    };
    let expected: Vec<Vec<Value>> = (0..3)
        .map(|caller| {
            let of = |index| site.server.infer("dev", &sample(caller, index));
            (0..9).map(of).collect()
        })
        .collect();
    let distinct: std::collections::HashSet<String> = expected
        .iter()
        .flatten()
        .map(|answer| answer["output"].to_string())
        .collect();
    assert!(distinct.len() > 9, "{} different outputs", distinct.len());
    std::thread::scope(|scope| {
        for (caller, expected) in expected.iter().enumerate() {
            let server = &site.server;
            scope.spawn(move || {
                for index in 0..150 {
                    let body = json!({ "input": sample(caller, index) });
                    let answer = server.ask("POST", "devices/dev/infer", &body);
                    let Some((200, mut answer)) = answer else {
                        panic!("caller {caller}, sample {index}: {answer:?}");
                    };
                    answer["latency_us"] = Value::Null;
                    assert_eq!(answer, expected[index % 9], "caller {caller}, {index}");
                }
            });
        }
    });
}

#[test]
fn pages_of_others_are_refused() {
    let site = Site::new();
    let to = site.server.http;
    let reboot = "POST /api/v1/devices/dev/resources/3/0/4 HTTP/1.1\n";
    for lines in [
        format!("Host: {to}\nOrigin: http://evil.example\nContent-Length: 0"),
        format!("Host: {to}\nSec-Fetch-Site: cross-site\nContent-Length: 0"),
        format!("Host: {to}\nOrigin: null\nContent-Length: 0"),
    ] {
        let (status, body) = raw(to, &format!("{reboot}{lines}"), b"");
        assert_eq!(status, 403, "{body}");
        assert!(body.contains("foreign_origin"), "{body}");
    }
    // A form can send these kinds across sites without asking.
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let head = format!("{reboot}Host: {to}\nContent-Type: {kind}\nContent-Length: 2");
        let (status, body) = raw(to, &head, b"{}");
        assert_eq!(status, 415, "{body}");
        assert!(body.contains("application/json"), "{body}");
    }
    // A name that leads here, but is not ours.
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
    ] {
        let head = format!("GET /api/v1/devices HTTP/1.1\nHost: {host}");
        let (status, body) = raw(to, &head, b"");
        assert_eq!(status, 421, "{body}");
        assert!(body.contains("--http-host"), "{body}");
    }
    let port = to.port();
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
        let own = format!("Host: {host}\nOrigin: http://{host}\nSec-Fetch-Site: same-origin");
        let head = format!("POST /api/v1/devices/dev/retry HTTP/1.1\n{own}\nContent-Length: 0");
        assert_eq!(raw(to, &head, b"").0, 200);
    }
    assert_eq!(site.server.get("devices/dev")["online"], true);
}

#[test]
fn names_of_the_server_can_be_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["--http-host", "tin.example"].map(str::to_owned);
    let server = Server::start(&folder.path().join("store"), &names);
    for (host, expected) in [("tin.example", 200), ("sub.tin.example", 421)] {
        let head = format!("GET /api/v1/devices HTTP/1.1\nHost: {host}");
        assert_eq!(raw(server.http, &head, b"").0, expected, "{host}");
    }
}

#[test]
fn errors_are_always_the_same_document() {
    let (_folder, server) = server();
    let to = server.http;
    let host = format!("Host: {to}");
    let form = "Content-Type: multipart/form-data";
    let length = "Content-Length: 3";
    let json = "Content-Type: application/json";
    for (head, expected) in [
        (format!("GET /nowhere HTTP/1.1\n{host}"), 404),
        (format!("DELETE /api/v1/devices HTTP/1.1\n{host}"), 405),
        (
            format!("PATCH /api/v1/devices/x/infer HTTP/1.1\n{host}"),
            405,
        ),
        (format!("GET /api/v1/devices/%ff HTTP/1.1\n{host}"), 400),
        (format!("GET /api/v1/devices?limit=x HTTP/1.1\n{host}"), 400),
        (
            format!("PUT /api/v1/devices/x/model HTTP/1.1\n{host}\n{length}"),
            415,
        ),
        (
            format!("PUT /api/v1/devices/x/model HTTP/1.1\n{host}\n{json}\n{length}"),
            400,
        ),
        (
            format!("POST /api/v1/models HTTP/1.1\n{host}\n{form}\n{length}"),
            400,
        ),
        (
            format!("POST /api/v1/models HTTP/1.1\n{host}\n{json}\n{length}"),
            415,
        ),
        ("GET /api/v1/devices HTTP/1.1\nX: y".to_owned(), 400),
    ] {
        let (status, body) = raw(to, &head, b"{x}");
        assert_eq!(status, expected, "{head}: {body}");
        let value: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{head}: {error}: {body}"));
        let message = value["error"]["message"].as_str().expect("a sentence");
        assert!(!message.is_empty() && value["error"]["code"].is_string());
    }
}

#[test]
fn half_requests_keep_nobody_out() {
    let (_folder, server) = server();
    let mut open = Vec::new();
    for _ in 0..3000 {
        let mut stream = connect(server.http);
        let _ = stream.write_all(b"GET /api/v1/devices HTTP/1.1\r\nHost: local");
        open.push(stream);
        if open.len() > 900 {
            // This side has a limit on open files too.
            open.drain(..300);
        }
    }
    let asked = Instant::now();
    assert_eq!(server.get("devices")["devices"], json!([]));
    assert!(asked.elapsed() < Duration::from_secs(10));
    // They all end.
    for stream in &mut open {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("a half request lives on: {other:?}"),
        }
    }
    assert!(peak(&server) < 200, "{} MB", peak(&server));
}

#[test]
fn bodies_that_do_not_come_are_not_waited_for() {
    let (_folder, server) = server();
    let to = server.http;
    let mut stream = connect(to);
    let head = format!(
        "PUT /api/v1/devices/x/model HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: 30\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).expect("it is taken");
    let began = Instant::now();
    let (status, body) = answer(&mut stream);
    assert_eq!(status, 408, "{body}");
    assert!(began.elapsed() < Duration::from_secs(40));
}

#[test]
fn what_is_too_long_is_never_in_memory() {
    let (_folder, server) = server();
    let to = server.http;
    let before = peak(&server);
    let host = format!("Host: {to}");
    let json = "Content-Type: application/json";
    let zeros = vec![b'0'; 1 << 20];
    // Samples of 80 MB, six at once.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut stream = connect(to);
                let head = format!(
                    "POST /api/v1/devices/x/infer HTTP/1.1\r\n{host}\r\nAuthorization: Bearer {TOKEN}\r\n{json}\r\n\
                     Transfer-Encoding: chunked\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).expect("it is taken");
                for _ in 0..80 {
                    let chunk = format!("{:x}\r\n", zeros.len());
                    let sent = stream
                        .write_all(chunk.as_bytes())
                        .and_then(|()| stream.write_all(&zeros))
                        .and_then(|()| stream.write_all(b"\r\n"));
                    if sent.is_err() {
                        return;
                    }
                }
                let _ = stream.write_all(b"0\r\n\r\n");
                assert_eq!(answer(&mut stream).0, 413);
            });
        }
    });
    // Said before it is sent.
    let head =
        format!("POST /api/v1/devices/x/infer HTTP/1.1\n{host}\n{json}\nContent-Length: 83886080");
    let (status, body) = raw(to, &head, b"");
    assert_eq!(status, 413, "{body}");
    assert!(body.contains("too_large"), "{body}");
    let head =
        format!("PUT /api/v1/devices/x/model HTTP/1.1\n{host}\n{json}\nContent-Length: 70000");
    assert_eq!(raw(to, &head, b"").0, 413);

    // An upload of 250 MB.
    let mut stream = connect(to);
    let head = format!(
        "POST /api/v1/models HTTP/1.1\r\n{host}\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it is taken");
    let part = "--b\r\nContent-Disposition: form-data; name=\"onnx\"; filename=\"m\"\r\n\r\n";
    let mut sent = stream.write_all(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes());
    for _ in 0..250 {
        if sent.is_err() {
            break;
        }
        sent = stream
            .write_all(format!("{:x}\r\n", zeros.len()).as_bytes())
            .and_then(|()| stream.write_all(&zeros))
            .and_then(|()| stream.write_all(b"\r\n"));
    }
    if sent.is_ok() {
        assert_eq!(answer(&mut stream).0, 413);
    }
    let grown = peak(&server) - before;
    assert!(grown < 120, "{grown} MB more");
    assert_eq!(server.get("devices")["devices"], json!([]));
}

#[test]
fn the_head_of_a_part_ends_somewhere() {
    let (_folder, server) = server();
    let to = server.http;
    let before = peak(&server);
    let part = "--b\r\nContent-Disposition: form-data; name=\"onnx\"\r\nX-Long: ";
    for start in ["", part, "--b"] {
        let mut stream = connect(to);
        let head = format!(
            "POST /api/v1/models HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it is taken");
        let mut chunk = |bytes: &[u8]| {
            let length = format!("{:x}\r\n", bytes.len());
            stream
                .write_all(length.as_bytes())
                .and_then(|()| stream.write_all(bytes))
                .and_then(|()| stream.write_all(b"\r\n"))
        };
        if !start.is_empty() {
            chunk(start.as_bytes()).expect("it is taken");
        }
        let ended = (0..100).any(|_| chunk(&[b'a'; 1 << 20]).is_err());
        if !ended {
            let (status, body) = answer(&mut stream);
            assert!(matches!(status, 400 | 413), "{start:?}: {status} {body}");
        }
    }
    let grown = peak(&server) - before;
    assert!(grown < 40, "{grown} MB more");
    // One that is as it should be is read, whatever it says.
    let body = "--b\r\nContent-Disposition: form-data; name=\"card\"\r\n\r\n{}\r\n--b--\r\n";
    let head = format!(
        "POST /api/v1/models HTTP/1.1\nHost: {to}\nContent-Length: {}\n\
         Content-Type: multipart/form-data; boundary=b",
        body.len()
    );
    let (status, text) = raw(to, &head, body.as_bytes());
    assert_eq!(status, 422, "{text}");
    assert!(text.contains("card"), "{text}");
}

/// A Register as a datagram; the code of the answer, as class * 32 + detail.
fn register(to: SocketAddr, endpoint: &[u8]) -> u8 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let wait = Some(Duration::from_secs(10));
    socket.set_read_timeout(wait).expect("a time-out");
    let name = [b"ep=", endpoint].concat();
    assert!(name.len() < 200);
    let mut bytes = vec![0x40, 2, 0, 7];
    let mut number = 0;
    for (option, value) in [
        (11, b"rd".as_slice()),
        (15, name.as_slice()),
        (15, b"lt=60"),
        (15, b"lwm2m=1.1"),
        (15, b"b=U"),
    ] {
        bytes.push(
            (option - number) << 4
                | if value.len() > 12 {
                    13
                } else {
                    value.len() as u8
                },
        );
        if value.len() > 12 {
            bytes.push(value.len() as u8 - 13);
        }
        bytes.extend_from_slice(value);
        number = option;
    }
    bytes.push(0xff);
    bytes.extend_from_slice(b"</1/0>,</3/0>");
    socket.send_to(&bytes, to).expect("it is sent");
    let mut answer = [0; 1280];
    socket.recv(&mut answer).expect("an answer");
    answer[1]
}

#[test]
fn names_can_not_write_to_the_operators_terminal() {
    let (_folder, server) = server();
    for name in [
        "a\x1b[2J",
        "a\nforged  yes",
        "a\u{9b}31m",
        "a\u{7f}",
        "a\tb",
    ] {
        assert_eq!(register(server.coap, name.as_bytes()), 0x80, "{name:?}");
    }
    let hides = "turned\u{202e}b";
    assert_eq!(register(server.coap, hides.as_bytes()), 0x41);
    assert_eq!(register(server.coap, b"plain"), 0x41);
    let url = server.url();
    for arguments in [
        &["device", "list"][..],
        &["device", "list", "--json"],
        &["device", "show", hides],
        &["device", "show", "no\x1b[2Jbody"],
        &["update", "no\nbody", "--model", "motion"],
    ] {
        let output = run(&[arguments, &["--server", &url]].concat());
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(bad), "{arguments:?}: {text:?}");
        }
    }
    let devices = server.get("devices");
    assert_eq!(devices["devices"].as_array().map(Vec::len), Some(2));
    let path = "devices/a%1b%5b2J/model";
    let answer = server.ask("PUT", path, &json!({ "model": "motion", "expect": true }));
    assert!(matches!(answer, Some((400, _))), "{answer:?}");
}

#[test]
fn node_names_can_not_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    let onnx = std::fs::read(path.join("model.onnx")).expect("a model");
    let text = run(&["compile", "motion", "--target", "nrf52840", "--json"]);
    let report: Value = serde_json::from_slice(&text.stdout).expect("JSON");
    let node = report["layers"][0]["nodes"][0].as_str().expect("a name");
    // The same length, so that the file stays well formed.
    let forged = format!("\x1b[2J\n{}", &node[5..]);
    let mut changed = onnx;
    let from = node.as_bytes();
    let mut at = 0;
    while let Some(found) = changed[at..].windows(from.len()).position(|w| w == from) {
        changed[at + found..][..from.len()].copy_from_slice(forged.as_bytes());
        at += found + from.len();
    }
    let model = common::process::write(&folder.path().join("forged.onnx"), &changed);
    let calibration = path.join("calibration.npz").display().to_string();
    let base = ["compile", model.as_str(), "--target", "nrf52840"];
    let data = ["--calibration", calibration.as_str()];
    for more in [&[][..], &["--json"]] {
        let arguments = [&base[..], &data, more].concat();
        let output = run(&arguments);
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            let bad = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(bad), "{arguments:?}: {text:?}");
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("[2J"), "the name is shown: {said}");
    }
}
