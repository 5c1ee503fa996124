//! An ONNX file of the user, with the weights that lie beside it.

use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::Compiler;

/// Most bytes of a file of weights.
const MAX_BYTES: u64 = 64 << 20;

/// The file as one, whatever files its weights are in. They must lie in its folder or below.
pub(super) fn read(path: &Path, compiler: Option<Compiler>) -> Result<Vec<u8>> {
    let onnx = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Some(compiler) = compiler else {
        return Ok(onnx);
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let whole = (compiler.embed)(&onnx, &mut |name| beside(folder, name));
    match whole.map_err(|problem| anyhow!("cannot use {}: {problem}", path.display()))? {
        Some(whole) => Ok(whole),
        None => Ok(onnx),
    }
}

fn beside(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let missing = |error: std::io::Error| {
        format!(
            "its weights are in '{name}', which can't be read: {error}; copy it beside the model"
        )
    };
    let folder = folder.canonicalize().map_err(missing)?;
    // A link may lead anywhere.
    let file = folder.join(name).canonicalize().map_err(missing)?;
    if !file.starts_with(&folder) {
        return Err(format!(
            "its weights in '{name}' lie outside the model's folder"
        ));
    }
    let about = file.metadata().map_err(missing)?;
    if !about.is_file() || about.len() > MAX_BYTES {
        return Err(format!(
            "its weights in '{name}' are no file of at most {MAX_BYTES} bytes"
        ));
    }
    std::fs::read(file).map_err(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("model");
        std::fs::create_dir_all(inner.join("sub")).unwrap();
        std::fs::write(folder.path().join("secret"), b"no").unwrap();
        std::fs::write(inner.join("sub/w.data"), b"yes").unwrap();
        std::os::unix::fs::symlink("../secret", inner.join("link")).unwrap();
        assert_eq!(beside(&inner, "sub/w.data"), Ok(b"yes".to_vec()));
        for name in ["link", "../secret"] {
            let error = beside(&inner, name).unwrap_err();
            assert!(error.contains("outside the model's folder"), "{error}");
        }
        assert!(beside(&inner, "sub").unwrap_err().contains("no file"));
        assert!(beside(&inner, "gone").unwrap_err().contains("copy it"));
    }
}
