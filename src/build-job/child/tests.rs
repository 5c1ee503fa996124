//! The test program itself is the child: with an environment variable set, `as_child` is its main.

use super::*;
use crate::{ModelError, Options, Problem, Samples, Task};

const ROLE: &str = "TINSMITH_TEST_CHILD";

#[test]
fn as_child() {
    match std::env::var(ROLE).as_deref() {
        Ok("compile") => {
            let _ = serve(|request, progress| {
                let stage = "check".to_owned();
                progress(Progress {
                    stage,
                    fraction: 0.0,
                });
                Err(CompileError::Model(Box::new(ModelError {
                    model: request.name.clone(),
                    node: None,
                    operator: None,
                    problem: Problem::Empty,
                })))
            });
        }
        Ok("crash") => std::process::abort(),
        Ok("hang") => std::thread::sleep(Duration::from_secs(60)),
        Ok("eat") => {
            use nix::sys::resource::{Resource, setrlimit};
            setrlimit(Resource::RLIMIT_AS, 1 << 28, 1 << 28).unwrap();
            let eaten = std::hint::black_box(vec![1_u8; 1 << 29]);
            assert!(eaten.len() > 1);
        }
        _ => {}
    }
}

fn child(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child::tests::as_child", "--exact", "--nocapture"]);
    command.env(ROLE, role);
    command
}

fn small(onnx: &[u8]) -> Request {
    Request {
        name: "m".into(),
        version: "1".into(),
        onnx: onnx.to_vec(),
        task: Task::Classify,
        labels: vec!["a".into()],
        capability: tinsmith_targets::find("nrf52840").unwrap(),
        options: Options::new(Samples::new(vec![1], vec![1.0])),
        test: None,
    }
}

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn typed_errors_come_back() {
    let mut stages = Vec::new();
    let error = run(child("compile"), LIMIT, &small(b""), &mut |p| {
        stages.push(p.stage);
    });
    let error = error.unwrap_err();
    let CompileError::Model(error) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (error.model.as_str(), &error.problem),
        ("m", &Problem::Empty)
    );
    assert_eq!(stages, ["check"]);
}

fn reason(role: &str, limit: Duration) -> ChildFailure {
    match run(child(role), limit, &small(b"x"), &mut |_| {}) {
        Err(CompileError::Child { model, reason }) => {
            assert_eq!(model, "m");
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_crash_is_an_error() {
    assert!(matches!(
        reason("crash", LIMIT),
        ChildFailure::Crashed { .. }
    ));
}

#[test]
fn a_hang_is_killed() {
    let started = Instant::now();
    let reason = reason("hang", Duration::from_millis(300));
    assert_eq!(reason, ChildFailure::TimedOut { seconds: 0 });
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn too_much_memory_is_an_error() {
    assert!(matches!(
        reason("eat", LIMIT),
        ChildFailure::OutOfMemory { .. }
    ));
}

#[test]
fn no_program_is_an_error() {
    let error = compile(Path::new("/nonexistent"), &small(b"x"), &mut |_| {}).unwrap_err();
    let CompileError::Child {
        reason: ChildFailure::NotStarted { .. },
        ..
    } = error
    else {
        panic!("{error}")
    };
}

#[test]
fn requests_survive_the_pipe_and_cuts_are_noticed() {
    let request = small(b"onnx bytes");
    let bytes = frame::request(&request).unwrap();
    assert_eq!(frame::read_request(&mut bytes.as_slice()), Ok(request));
    for end in 0..bytes.len() {
        assert!(frame::read_request(&mut &bytes[..end]).is_err());
    }
    assert_eq!(frame::read_answer(b"noise"), None);
}
