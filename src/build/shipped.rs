//! The models in `models/`, inside the program so that it needs nothing beside it.

use super::{Card, Model};

/// The shipped models.
pub(super) fn models() -> Vec<Model> {
    tinsmith_models::ALL
        .iter()
        .filter_map(|files| {
            let card = Card::parse(files.card)
                .inspect_err(|error| tracing::error!(files.name, %error, "bug: a shipped card"))
                .ok()?;
            let mut model = Model::unchecked(
                card,
                files.onnx.into(),
                files.calibration.into(),
                Some(files.test.into()),
            );
            model.shipped = true;
            Some(model)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_parses_and_names_its_file() {
        let models = models();
        assert_eq!(models.len(), 4);
        for model in models {
            assert_eq!(
                model.card.sha256.as_deref(),
                Some(model.source.to_string().as_str())
            );
        }
    }
}
