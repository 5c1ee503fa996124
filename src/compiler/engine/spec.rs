//! The specification: the arithmetic as plain loops. It keeps no state from one run to the next.

use tinsmith_module::{Module, spec};

use super::{Engine, Outcome, Session, Trace};

/// See the module.
pub(crate) struct Spec<'a> {
    module: &'a Module<'a>,
}

impl<'a> Spec<'a> {
    /// An engine for a module.
    pub(crate) fn new(module: &'a Module<'a>) -> Self {
        Self { module }
    }
}

impl Engine for Spec<'_> {
    fn name(&self) -> &'static str {
        "the specification"
    }

    fn start(&self) -> Box<dyn Session + '_> {
        Box::new(Stateless(self.module))
    }
}

struct Stateless<'a>(&'a Module<'a>);

impl Session for Stateless<'_> {
    fn run(&mut self, inputs: &[Vec<u8>], trace: Option<Trace<'_>>) -> Result<Outcome, String> {
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let run = spec::run(self.0, &inputs).map_err(|e| e.to_string())?;
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
