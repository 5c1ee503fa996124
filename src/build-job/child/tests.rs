//! The test program itself is the child: with an environment variable set, `as_child` is its main.

use super::*;
use crate::{Misfit, ModelError, Options, Problem, Samples, Task};

const READERS: Readers = Readers {
    samples: |bytes| match bytes {
        [] => Err("it is empty".into()),
        bytes => Ok(Samples::new(vec![1], vec![1.0; bytes.len()])),
    },
    test: |_| Err("none is read".into()),
};

const ROLE: &str = "TINSMITH_TEST_CHILD";

#[test]
fn as_child() {
    match std::env::var(ROLE).as_deref() {
        Ok("compile") => {
            let _ = serve(
                |request, progress| {
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
                },
                READERS,
            );
        }
        Ok("limited") => {
            use nix::sys::resource::{Resource, getrlimit};
            let _ = serve(
                |request, _| {
                    let most = |resource| getrlimit(resource).map(|(soft, _)| soft);
                    let found = [
                        most(Resource::RLIMIT_AS),
                        most(Resource::RLIMIT_FSIZE),
                        most(Resource::RLIMIT_NOFILE),
                        most(Resource::RLIMIT_CPU),
                    ];
                    let signal = nix::sys::prctl::get_pdeathsig();
                    Err(CompileError::Internal {
                        model: request.name.clone(),
                        stage: "limits".into(),
                        problem: format!("{:?} {signal:?}", found.map(Result::unwrap_or_default)),
                    })
                },
                READERS,
            );
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

#[test]
fn every_kind_of_error_comes_back() {
    let node = |name: &str| ModelError {
        model: "m".into(),
        node: Some(name.into()),
        operator: Some("Op".into()),
        problem: Problem::UnknownOperator {
            advice: "none".into(),
        },
    };
    let model = || "m".to_owned();
    for error in [
        CompileError::Model(Box::new(node("a"))),
        CompileError::Nodes {
            nodes: vec![node("a"), node("b")],
        },
        CompileError::Data {
            model: model(),
            problem: "p".into(),
        },
        CompileError::LowSqnr {
            model: model(),
            findings: vec!["f".into()],
        },
        CompileError::DoesNotFit {
            model: model(),
            target: "t".into(),
            missing: vec![Misfit::Kernel { id: 1, version: 2 }],
        },
        CompileError::Child {
            model: model(),
            reason: ChildFailure::TimedOut { seconds: 1 },
        },
        CompileError::Internal {
            model: model(),
            stage: "s".into(),
            problem: "p".into(),
        },
    ] {
        let answer = Answer {
            result: Err(error),
            facts: None,
        };
        let bytes = frame::answer(&answer).unwrap();
        assert_eq!(frame::read_answer(&bytes), Some(answer));
    }
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
fn a_child_is_limited() {
    let limit = Duration::from_secs(60);
    let error = run(child("limited"), limit, &small(b"x"), &mut |_| {}).unwrap_err();
    let CompileError::Internal { problem, .. } = error else {
        panic!("{error}")
    };
    let cpu = cpu_seconds(limit);
    let expected = format!("[{}, 0, 32, {cpu}] Ok(Some(SIGKILL))", 1_u64 << 30);
    assert_eq!(problem, expected);
}

#[test]
fn files_are_opened_in_the_child() {
    let sealed = |calibration: &[u8]| Sealed {
        name: "m".into(),
        version: "1".into(),
        onnx: b"onnx bytes".as_slice().into(),
        task: Task::Classify,
        labels: vec![],
        capability: None,
        calibration: calibration.into(),
        test: None,
        allow_low_sqnr: false,
    };
    let ask = |sealed: &Sealed| {
        let bytes = frame::sealed(sealed, 9).unwrap();
        for end in 0..bytes.len() {
            assert!(frame::read_request(&mut &bytes[..end]).is_err());
        }
        let (seconds, asked) = frame::read_request(&mut bytes.as_slice()).unwrap();
        assert_eq!((seconds, &asked), (9, &Asked::Sealed(sealed.clone())));
        let answer = exchange(child("compile"), LIMIT, "m", Ok(bytes), &mut |_| {}).unwrap();
        (answer.result, answer.facts)
    };
    let (result, facts) = ask(&sealed(&[0; 5]));
    assert_eq!(result, Ok(None));
    let facts = facts.unwrap();
    assert_eq!((facts.calibration.samples, facts.test), (5, None));
    let options = Options::new(Samples::new(vec![1], vec![1.0; 5]));
    assert_eq!(facts.options, options.digest());
    let (result, facts) = ask(&sealed(b""));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("the calibration file can't be used: it is empty"));
    assert_eq!(facts, None);
}

#[test]
fn no_program_is_an_error() {
    let error = compile(Path::new("/nonexistent"), &small(b"x"), LIMIT, &mut |_| {}).unwrap_err();
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
    let bytes = frame::request(&request, 7).unwrap();
    assert_eq!(
        frame::read_request(&mut bytes.as_slice()),
        Ok((7, Asked::Request(request)))
    );
    for end in 0..bytes.len() {
        assert!(frame::read_request(&mut &bytes[..end]).is_err());
    }
    assert_eq!(frame::read_answer(b"noise"), None);
}
