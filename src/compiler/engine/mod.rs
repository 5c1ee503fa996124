//! What runs modules: to verify them, to measure them, and to see every layer.

mod kernels;
mod spec;

pub(crate) use kernels::Kernels;
pub(crate) use spec::Spec;

/// Something that runs a module.
pub(crate) trait Engine: Sync {
    /// Name for messages.
    fn name(&self) -> &'static str;

    /// A memory of its own, with states at their reset values.
    fn start(&self) -> Box<dyn Session + '_>;

    /// The module's own test, if the engine can run it.
    fn self_test(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What looks at the bytes that each record gives, by the record's index; in one piece or several.
pub(crate) type Trace<'t> = &'t mut dyn FnMut(usize, &[u8]);

/// A module with its memory.
pub(crate) trait Session {
    /// One inference. `inputs` holds the bytes of each input.
    fn run(&mut self, inputs: &[Vec<u8>], trace: Option<Trace<'_>>) -> Result<Outcome, String>;
}

/// What an inference gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The bytes of each output.
    pub outputs: Vec<Vec<u8>>,
    /// The class, of a classifier.
    pub class: Option<u32>,
}
