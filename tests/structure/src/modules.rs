//! Which module of a crate names what of which other, over `use` lines and `crate::` and `super::`
//! paths.
//!
//! Two modules side by side know each other if a path in one, or in a module below it, leads to
//! the other or below it. A path through a re-export leads to where the name is defined. Modules
//! of tests don't count, nor do a module and its own parent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source;

/// A module's path from the crate's root; empty for the root itself.
type ModulePath = Vec<String>;

/// The modules of a crate.
#[derive(Debug, Default)]
pub struct Modules {
    modules: BTreeMap<ModulePath, Module>,
}

#[derive(Debug, Default)]
struct Module {
    file: String,
    /// What each name brought in by `use` stands for, from the crate's root.
    uses: BTreeMap<String, ModulePath>,
    /// Modules whose names are all brought in.
    globs: Vec<ModulePath>,
    /// What is defined here.
    items: BTreeSet<String>,
    /// Paths that the code names, from the crate's root, and where.
    named: Vec<(usize, ModulePath)>,
}

/// A module that knows another beside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Path of the module that names, with `::`.
    pub from: String,
    /// Path of the module that is named.
    pub to: String,
}

impl Modules {
    /// Reads the sources of a crate from the folder of its `lib.rs` or `main.rs`.
    pub fn load(folder: &Path) -> Self {
        let mut texts = BTreeMap::new();
        for file in source::files(folder, "rs") {
            let inside = file.strip_prefix(folder).expect("found below it");
            if let Some(path) = module_path(inside) {
                texts.insert(path, (inside.display().to_string(), crate::read(&file)));
            }
        }
        let tests: Vec<ModulePath> = texts
            .iter()
            .flat_map(|(path, (_, text))| {
                test_modules(text).map(|name| [path.as_slice(), &[name.to_owned()]].concat())
            })
            .collect();
        texts.retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
        let modules = texts.iter().map(|(path, (file, text))| {
            let mut module = Module {
                file: file.clone(),
                ..Module::default()
            };
            module.read(path, text, &|path| texts.contains_key(path));
            (path.clone(), module)
        });
        Self {
            modules: modules.collect(),
        }
    }

    /// All edges between modules side by side, each with the places that make it.
    pub fn edges(&self) -> BTreeMap<Edge, Vec<String>> {
        let mut edges: BTreeMap<Edge, Vec<String>> = BTreeMap::new();
        for (from, module) in &self.modules {
            for (line, path) in &module.named {
                let to = self.defining(path, 0);
                let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if from.len() > common && to.len() > common {
                    let edge = Edge {
                        from: from[..=common].join("::"),
                        to: to[..=common].join("::"),
                    };
                    let place = format!("{}:{line}", module.file);
                    edges.entry(edge).or_default().push(place);
                }
            }
        }
        edges
    }

    /// The module in which the thing at a path is defined.
    fn defining(&self, path: &[String], depth: usize) -> ModulePath {
        let mut at = ModulePath::new();
        for (index, name) in path.iter().enumerate() {
            let below = [at.as_slice(), std::slice::from_ref(name)].concat();
            if self.modules.contains_key(&below) {
                at = below;
                continue;
            }
            // Deeper only a re-export that names itself would be.
            if depth < 8
                && let Some(target) = self.brought_in(&at, name)
            {
                let rest = &path[index + 1..];
                return self.defining(&[target.as_slice(), rest].concat(), depth + 1);
            }
            break;
        }
        at
    }

    fn brought_in(&self, at: &ModulePath, name: &str) -> Option<ModulePath> {
        let module = self.modules.get(at)?;
        if module.items.contains(name) {
            return None;
        }
        module.uses.get(name).cloned().or_else(|| {
            let has = |glob: &&ModulePath| {
                let module = self.modules.get(*glob);
                module.is_some_and(|m| m.items.contains(name) || m.uses.contains_key(name))
            };
            let glob = module.globs.iter().find(has)?;
            Some([glob.as_slice(), &[name.to_owned()]].concat())
        })
    }
}

impl Module {
    fn read(&mut self, path: &[String], text: &str, exists: &dyn Fn(&ModulePath) -> bool) {
        let lines: Vec<(usize, &str)> = source::code(text).collect();
        let mut open: Option<(usize, String)> = None;
        for (number, line) in &lines {
            self.items.extend(defined(line));
            let (start, mut statement) = open.take().unwrap_or((*number, String::new()));
            if statement.is_empty() {
                match use_tree(line) {
                    Some(tree) => statement.push_str(tree),
                    None => {
                        let named = inline_paths(line);
                        let named = named.filter_map(|p| from_root(path, &p, exists));
                        self.named.extend(named.map(|path| (*number, path)));
                        continue;
                    }
                }
            } else {
                statement.push_str(line);
            }
            match statement.split_once(';') {
                None => open = Some((start, statement)),
                Some((tree, _)) => self.read_use(path, start, tree, exists),
            }
        }
    }

    fn read_use(
        &mut self,
        path: &[String],
        line: usize,
        tree: &str,
        exists: &dyn Fn(&ModulePath) -> bool,
    ) {
        let mut leaves = Vec::new();
        expand(&[], tree, &mut leaves);
        for (leaf, name) in leaves {
            let Some(mut target) = from_root(path, &leaf, exists) else {
                continue;
            };
            if target.last().is_some_and(|last| last == "*") {
                target.pop();
                self.globs.push(target.clone());
            } else {
                self.uses.insert(name, target.clone());
            }
            self.named.push((line, target));
        }
    }
}

/// The module that a file holds; `None` for what is no module of the library.
fn module_path(file: &Path) -> Option<ModulePath> {
    let mut path: ModulePath = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    match path.last()?.as_str() {
        "mod" => {
            path.pop();
        }
        "lib" | "main" if path.len() == 1 => path.clear(),
        "build" if path.len() == 1 => return None,
        name if name.ends_with("tests") => return None,
        _ => {}
    }
    let skipped = ["bin", "tests", "examples", "benches"];
    let outside = path.first().is_some_and(|f| skipped.contains(&f.as_str()));
    (!outside).then_some(path)
}

/// The modules that a file declares for tests only.
fn test_modules(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("#[cfg(test)]").filter_map(|(at, mark)| {
        let line = text[at + mark.len()..].trim_start().lines().next()?;
        let (_, name) = line.split_once("mod ")?;
        Some(name.trim_end_matches([';', '{', ' ']))
    })
}

/// What stands after `use` on a line that begins a `use` statement.
fn use_tree(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1.trim_start(),
        Some(rest) => rest.trim_start(),
        None => line,
    };
    line.strip_prefix("use ")
}

/// Every path of a `use` tree with the name it gets.
fn expand(prefix: &[String], tree: &str, leaves: &mut Vec<(ModulePath, String)>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let head = head.split("::").map(str::trim).filter(|p| !p.is_empty());
        let prefix = [prefix, &head.map(str::to_owned).collect::<Vec<_>>()].concat();
        let group = group.trim_end().strip_suffix('}').unwrap_or(group);
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&prefix, &group[start..at], leaves);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, name) = match tree.split_once(" as ") {
        Some((path, name)) => (path, Some(name.trim().to_owned())),
        None => (tree, None),
    };
    let parts = path.split("::").map(str::trim).filter(|p| !p.is_empty());
    let mut path = [prefix, &parts.map(str::to_owned).collect::<Vec<_>>()].concat();
    if path.len() > prefix.len() && path.len() > 1 && path.last().is_some_and(|p| p == "self") {
        path.pop();
    }
    if let Some(last) = path.last().cloned() {
        leaves.push((path, name.unwrap_or(last)));
    }
}

/// Paths that begin with `crate::` or `super::` on a line that is no `use` statement.
fn inline_paths(line: &str) -> impl Iterator<Item = ModulePath> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    line.split(move |c| !part(c))
        .filter(|word| word.starts_with("crate::") || word.starts_with("super::"))
        .map(|word| {
            let parts = word.split("::").filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        })
}

/// A path as `use` reads it in a module, from the crate's root; `None` if it leaves the crate.
fn from_root(
    module: &[String],
    path: &[String],
    exists: &dyn Fn(&ModulePath) -> bool,
) -> Option<ModulePath> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" => {
            let above = module.len().checked_sub(supers)?;
            Some([&module[..above], &path[supers..]].concat())
        }
        "self" => Some([module, &path[1..]].concat()),
        first => {
            let below = [module, &[first.to_owned()]].concat();
            exists(&below).then(|| [module, path].concat())
        }
    }
}

/// The name that a line defines.
fn defined(line: &str) -> Option<String> {
    let kinds = [
        "struct", "enum", "fn", "trait", "const", "type", "static", "union",
    ];
    let mut words = line
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty());
    let before = ["pub", "crate", "super", "in", "async", "unsafe", "extern"];
    let kind = words.find(|word| !before.contains(word))?;
    let name = words.find(|word| !kinds.contains(word))?;
    kinds.contains(&kind).then(|| name.to_owned())
}

/// The shortest way from each module back to itself, for every group of modules that all know each
/// other, directly or around corners: one for a group.
pub fn cycles(edges: &BTreeSet<Edge>) -> Vec<Vec<Edge>> {
    let mut found: Vec<Vec<Edge>> = Vec::new();
    let mut knotted: BTreeSet<&str> = BTreeSet::new();
    for edge in edges {
        if knotted.contains(edge.from.as_str()) {
            continue;
        }
        let Some(back) = way(edges, &edge.to, &edge.from) else {
            continue;
        };
        let group = edges.iter().map(|e| e.from.as_str()).filter(|other| {
            way(edges, &edge.from, other).is_some() && way(edges, other, &edge.from).is_some()
        });
        knotted.extend(group);
        found.push([vec![edge.clone()], back].concat());
    }
    found
}

/// The shortest way from one module to another.
fn way(edges: &BTreeSet<Edge>, from: &str, to: &str) -> Option<Vec<Edge>> {
    let mut ways: Vec<(&str, Vec<Edge>)> = vec![(from, Vec::new())];
    let mut seen: BTreeSet<&str> = [from].into();
    let mut next = 0;
    while let Some((at, way)) = ways.get(next).cloned() {
        if at == to {
            return Some(way);
        }
        for edge in edges.iter().filter(|edge| edge.from == at) {
            if seen.insert(&edge.to) {
                ways.push((
                    &edge.to,
                    [way.as_slice(), std::slice::from_ref(edge)].concat(),
                ));
            }
        }
        next += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> BTreeSet<Edge> {
        let folder = std::env::temp_dir().join(format!(
            "tinsmith-structure-{}-{}",
            std::process::id(),
            files.len()
        ));
        for (name, text) in files {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let edges = Modules::load(&folder).edges().into_keys().collect();
        std::fs::remove_dir_all(&folder).unwrap();
        edges
    }

    fn edge(from: &str, to: &str) -> Edge {
        Edge {
            from: from.into(),
            to: to.into(),
        }
    }

    #[test]
    fn a_cycle_through_a_reexport_and_an_inline_path_is_found() {
        let edges = crate_of(&[
            (
                "lib.rs",
                "mod a;\nmod b;\npub use b::{\n    B,\n    inner::{C as D},\n};\n",
            ),
            ("a.rs", "use crate::D;\npub struct A;\n"),
            ("b/mod.rs", "pub mod inner;\npub struct B;\n"),
            (
                "b/inner.rs",
                "pub struct C(crate::a::A);\n#[cfg(test)]\nmod tests {\n}\n",
            ),
        ]);
        let both: BTreeSet<Edge> = [edge("a", "b"), edge("b", "a")].into();
        assert_eq!(edges, both);
        assert_eq!(cycles(&edges), [vec![edge("a", "b"), edge("b", "a")]]);
    }

    #[test]
    fn parents_tests_and_other_crates_are_no_edges() {
        let edges = crate_of(&[
            (
                "lib.rs",
                "mod a;\n#[cfg(test)]\nmod world;\npub struct L;\n",
            ),
            ("a/mod.rs", "mod x;\nmod y;\nuse x::X;\nuse std::fmt;\n"),
            ("a/x.rs", "use super::y::Y;\nuse crate::L;\npub struct X;\n"),
            ("a/y.rs", "// use super::x::X;\npub struct Y;\n"),
            ("world.rs", "use crate::a;\n"),
        ]);
        assert_eq!(edges, [edge("a::x", "a::y")].into());
        assert!(cycles(&edges).is_empty());
    }
}
