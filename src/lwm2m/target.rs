//! What requests, observations and events are about, and the values they carry.

use std::fmt;
use std::sync::Arc;

use lwm2m_objects::{OwnedValue, Path};

/// One path, or several that are asked for together (composite operations, LwM2M TS 1.1 §6.3).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target(Paths);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Paths {
    One(Path),
    /// Two or more.
    Many(Arc<[Path]>),
}

impl Target {
    /// Of all these paths; `None` if there is none.
    pub fn new(paths: &[Path]) -> Option<Self> {
        match paths {
            [] => None,
            [path] => Some(Target(Paths::One(*path))),
            paths => Some(Target(Paths::Many(paths.into()))),
        }
    }

    /// All paths; at least one.
    pub fn paths(&self) -> &[Path] {
        match &self.0 {
            Paths::One(path) => std::slice::from_ref(path),
            Paths::Many(paths) => paths,
        }
    }

    /// The path, if there is only one.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Paths::One(path) => Some(path),
            Paths::Many(_) => None,
        }
    }
}

impl From<Path> for Target {
    fn from(path: Path) -> Self {
        Target(Paths::One(path))
    }
}

impl PartialEq<Path> for Target {
    fn eq(&self, other: &Path) -> bool {
        self.path() == Some(other)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, path) in self.paths().iter().enumerate() {
            let between = if n == 0 { "" } else { ", " };
            write!(f, "{between}{path}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value of a resource (instance).
#[derive(Clone, Debug, PartialEq)]
pub struct PathValue {
    /// The complete path.
    pub path: Path,
    /// The value.
    pub value: OwnedValue,
    /// When it was so, in seconds since 1970; `None`: when it was sent.
    pub time: Option<f64>,
}

impl From<(Path, OwnedValue)> for PathValue {
    fn from((path, value): (Path, OwnedValue)) -> Self {
        PathValue {
            path,
            value,
            time: None,
        }
    }
}

impl PartialEq<(Path, OwnedValue)> for PathValue {
    fn eq(&self, (path, value): &(Path, OwnedValue)) -> bool {
        self.path == *path && self.value == *value && self.time.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_or_several() {
        let (a, b) = (Path::resource(3, 0, 0), Path::resource(5, 0, 3));
        assert_eq!(Target::new(&[]), None);
        let one = Target::new(&[a]).unwrap();
        assert_eq!((&one, one.path()), (&Target::from(a), Some(&a)));
        assert!(one == a && one != b);
        let two = Target::new(&[a, b]).unwrap();
        assert_eq!((two.path(), two.paths()), (None, &[a, b][..]));
        assert!(two != a);
        assert_eq!(two.to_string(), "/3/0/0, /5/0/3");
    }
}
