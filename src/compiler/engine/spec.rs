//! The specification: the arithmetic as plain loops.

use tinsmith_module::Module;
use tinsmith_module::spec::Interpreter;

use super::{Engine, Outcome, Session, Trace};

/// See the module.
pub(crate) struct Spec<'a> {
    module: &'a Module<'a>,
}

impl<'a> Spec<'a> {
    /// An engine for a module without calls.
    pub(crate) fn new(module: &'a Module<'a>) -> Self {
        Self { module }
    }
}

impl Engine for Spec<'_> {
    fn name(&self) -> &'static str {
        "the specification"
    }

    fn start(&self) -> Box<dyn Session + '_> {
        Box::new(Memory(Interpreter::new(self.module)))
    }
}

struct Memory<'a>(Interpreter<'a>);

impl Session for Memory<'_> {
    fn run(&mut self, inputs: &[Vec<u8>], trace: Option<Trace<'_>>) -> Result<Outcome, String> {
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let run = self.0.run(&inputs).map_err(|e| e.to_string())?;
        if let Some(trace) = trace {
            for (layer, bytes) in run.layers.iter().enumerate() {
                trace(layer, bytes);
            }
        }
        Ok(Outcome {
            outputs: run.outputs,
            class: run.class.map(|class| class.index),
        })
    }
}
