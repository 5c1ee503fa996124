//! Archives of samples, and the card of a model: what a user gives to `model add`.

use tinsmith_build::Card;

pub(crate) fn run(data: &[u8]) {
    let _ = tinsmith_samples::samples(data);
    let _ = tinsmith_samples::test_set(data);
    let _ = Card::parse(data);
}
