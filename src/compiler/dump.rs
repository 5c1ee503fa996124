//! A build as text, for the golden files in `dump/`: steps, shapes, quantization, arena, digest.
//!
//! `TINSMITH_BLESS=1 cargo test -p tinsmith-compiler` writes the files again.

use std::fmt::Write as _;
use std::path::Path;

use tinsmith_build_job::{Options, Request, Samples, Task};
use tinsmith_digest::Digest;
use tinsmith_module::Module;

use super::ir::{Data, Graph, Layout, Port, Quantization, Role, Steps, TensorId};
use super::passes;
use super::pipeline::{Build, build};
use super::plan::{Plan, Space};

fn list<T: ToString>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("[{}]", values.join(","))
}

/// Scales of weights are many: their number, and the first 32 bits of the digest of all.
fn quantization(q: &Quantization) -> String {
    let origin = format!("{:?}", q.origin).to_lowercase();
    match (q.scale.as_slice(), q.zero.as_slice()) {
        ([scale], [zero]) if q.axis.is_none() => format!("scale {scale} zero {zero} {origin}"),
        (scales, _) => {
            let bytes: Vec<u8> = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
            let axis = q.axis.unwrap_or(0);
            format!(
                "{} scales {} axis {axis} {origin}",
                scales.len(),
                &Digest::of(&bytes).to_string()[..8]
            )
        }
    }
}

fn tensor(graph: &Graph, id: TensorId) -> String {
    let tensor = graph.tensor(id);
    let dtype = format!("{:?}", tensor.dtype).to_lowercase();
    let mut text = format!("{dtype} {}", list(&tensor.shape));
    if tensor.layout == Layout::ChannelsLast {
        text += " channels-last";
    }
    let digest = match &tensor.role {
        Role::Constant(Data::I8(data)) => {
            let bytes: Vec<u8> = data.iter().map(|v| v.cast_unsigned()).collect();
            Some(Digest::of(&bytes))
        }
        Role::Constant(Data::I32(data)) => {
            let bytes: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
            Some(Digest::of(&bytes))
        }
        _ => None,
    };
    if let Some(digest) = digest {
        let _ = write!(text, " data {}", &digest.to_string()[..8]);
    }
    if let Some(q) = &tensor.quantization {
        let _ = write!(text, " {}", quantization(q));
    }
    text
}

fn place(plan: &Plan, id: TensorId) -> String {
    match plan.place(id) {
        Some((Space::Scratch, offset)) => offset.to_string(),
        Some((Space::State, offset)) => format!("state {offset}"),
        None => "nowhere".into(),
    }
}

fn port(graph: &Graph, plan: &Plan, what: &str, port: &Port) -> String {
    let order = passes::permutation(&port.shape, &port.order);
    let steps = match &port.steps {
        None => String::new(),
        Some(Steps { scale, zero, .. }) => format!(" in {} from {}", list(scale), list(zero)),
    };
    format!(
        "{what} {} {} order {} at {} as {}{steps}\n",
        port.name,
        list(&port.shape),
        order.map_or("none".into(), |order| list(&order)),
        place(plan, port.tensor),
        tensor(graph, port.tensor),
    )
}

fn text(build: &Build<'_>) -> String {
    let Build {
        graph, plan, built, ..
    } = build;
    let mut text = String::new();
    for input in &graph.inputs {
        text += &port(graph, plan, "input", input);
    }
    for (step, planned) in plan.steps.iter().enumerate() {
        let Some(node) = graph.node(planned.node) else {
            continue;
        };
        let _ = writeln!(
            text,
            "step {step} {} by {} from {} | arena {}",
            node.op.name(),
            planned.backend.name(),
            node.sources.join(", "),
            plan.live_bytes[step]
        );
        for (what, ids) in [("reads", &node.inputs), ("gives", &node.outputs)] {
            for &id in ids {
                let place = match plan.place(id) {
                    Some(_) => format!("at {} ", place(plan, id)),
                    None => String::new(),
                };
                let _ = writeln!(text, "    {what} {place}{}", tensor(graph, id));
            }
        }
    }
    for output in &graph.outputs {
        text += &port(graph, plan, "output", output);
    }
    let module = Module::parse(&built.image).unwrap();
    let kernels: Vec<String> = module.kernels().map(|(k, v)| format!("{k}.{v}")).collect();
    let _ = writeln!(
        text,
        "arena {}\nmacs {}\nweights {}\nkernels {}\nmodule {} bytes {}",
        plan.arena_bytes,
        build.macs,
        built.weights_bytes,
        kernels.join(" "),
        built.image.len(),
        Digest::of(&built.image)
    );
    text
}

fn check(request: &Request, target: &str) {
    let build = build(request, &mut |_, _| {}).unwrap_or_else(|e| panic!("{}: {e}", request.name));
    let text = text(&build);
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("dump")
        .join(format!("{}.{target}.txt", request.name));
    if std::env::var_os("TINSMITH_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, (expected, found)) in expected.lines().zip(text.lines()).enumerate() {
        assert_eq!(found, expected, "{} line {}", path.display(), line + 1);
    }
    assert_eq!(
        text.lines().count(),
        expected.lines().count(),
        "{}; TINSMITH_BLESS=1 writes it again",
        path.display()
    );
}

#[test]
fn shipped_models() {
    for (name, task) in [
        ("motion", Task::Classify),
        ("maintenance", Task::Reconstruct),
        ("fashion", Task::Classify),
        ("fashion-resnet", Task::Classify),
    ] {
        let mut request = crate::tests::request(name, task).unwrap();
        for target in ["nrf52840", "stm32f767"] {
            request.capability = tinsmith_targets::find(target).unwrap();
            check(&request, target);
        }
    }
}

#[test]
fn small_graphs() {
    for (name, onnx, shape) in crate::testing::graphs::all() {
        let size: usize = shape.iter().product();
        let data = crate::testing::values(8 * size, 99);
        let request = Request {
            name: name.into(),
            version: "1".into(),
            onnx,
            task: Task::Regress,
            labels: Vec::new(),
            capability: tinsmith_targets::find("nrf52840").unwrap(),
            options: Options::new(Samples::new(shape, data)),
            test: None,
        };
        check(&request, "nrf52840");
    }
}
