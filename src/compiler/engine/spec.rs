//! The specification: the arithmetic as plain loops.

use tinsmith_module::Module;
use tinsmith_module::spec::Interpreter;

use super::{Engine, Outcome, Session, Trace};

/// See the module.
pub(crate) struct Spec<'a> {
    module: &'a Module<'a>,
    reset: &'a [u8],
}

impl<'a> Spec<'a> {
    /// An engine for a module whose state segment, the last, holds `reset` at first.
    pub(crate) fn new(module: &'a Module<'a>, reset: &'a [u8]) -> Self {
        Self { module, reset }
    }
}

impl Engine for Spec<'_> {
    fn name(&self) -> &'static str {
        "the specification"
    }

    fn start(&self) -> Box<dyn Session + '_> {
        let mut interpreter = Interpreter::new(self.module);
        let last = self.module.segments().count().saturating_sub(1);
        if let Some(state) = interpreter.segment_mut(last)
            && state.len() == self.reset.len()
        {
            state.copy_from_slice(self.reset);
        }
        Box::new(Memory(interpreter))
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
