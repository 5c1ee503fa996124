//! The test program itself is the child: with an environment variable set, `as_child` is its main.

use super::*;
use crate::compiler::tests::request;
use crate::compiler::{Options, Problem, Task, targets};
use crate::samples::Samples;

const ROLE: &str = "TINSMITH_TEST_CHILD";

#[test]
fn as_child() {
    match std::env::var(ROLE).as_deref() {
        Ok("compile") => {
            let _ = main();
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
    command.args(["compiler::child::tests::as_child", "--exact", "--nocapture"]);
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
        capability: targets::find("nrf52840").unwrap(),
        options: Options::new(Samples {
            shape: vec![1],
            data: vec![1.0],
        }),
        test: None,
    }
}

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn gives_what_a_build_in_process_gives() {
    let Some(request) = request("hapt_cnn1d", Task::Classify) else {
        return;
    };
    let mut stages = Vec::new();
    let result = run(child("compile"), LIMIT, &request, &mut |p| {
        stages.push(p.stage);
    });
    let (there, here) = (
        result.unwrap(),
        crate::compiler::compile(&request, &mut |_| {}).unwrap(),
    );
    assert_eq!(there.module, here.module);
    assert_eq!(there.report.metric_int8, here.report.metric_int8);
    assert_eq!(stages.first().map(String::as_str), Some("check"));
    assert_eq!(stages.last().map(String::as_str), Some("done"));
}

#[test]
fn typed_errors_come_back() {
    let error = run(child("compile"), LIMIT, &small(b""), &mut |_| {}).unwrap_err();
    let CompileError::Model(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error.problem, Problem::Empty);
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
