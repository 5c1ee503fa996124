//! Checks the DDF files in `ddf/` and makes tables and id constants from them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use roxmltree::{Document, Node};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=ddf");
    match generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<(), String> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let objects = read_folder(&PathBuf::from(manifest).join("ddf"))?;
    write(&out.join("tables.rs"), &tables(&objects))?;
    write(&out.join("ids.rs"), &ids(&objects)?)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) struct Object {
    id: u16,
    name: String,
    version: (u8, u8),
    multiple: bool,
    mandatory: bool,
    resources: BTreeMap<u16, Resource>,
}

pub(crate) struct Resource {
    name: String,
    operations: &'static str,
    multiple: bool,
    mandatory: bool,
    value_type: &'static str,
    range: String,
    unit: String,
}

fn read_folder(folder: &Path) -> Result<BTreeMap<u16, Object>, String> {
    let mut objects = BTreeMap::new();
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries {
        let path = entry
            .map_err(|e| format!("{}: {e}", folder.display()))?
            .path();
        if path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let object = read_file(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if let Some(object) = objects.insert(object.id, object) {
            return Err(format!(
                "{}: object {} comes twice",
                path.display(),
                object.id
            ));
        }
    }
    Ok(objects)
}

pub(crate) fn read_file(path: &Path) -> Result<Object, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let document = Document::parse(&text).map_err(|error| error.to_string())?;
    let root = document.root_element();
    if root.tag_name().name() != "LWM2M" {
        return Err("the root element is not LWM2M".into());
    }
    let mut objects = root.children().filter(Node::is_element);
    let node = objects.next().ok_or("no Object in the file")?;
    if node.tag_name().name() != "Object" || objects.next().is_some() {
        return Err("the file must have one Object and nothing else".into());
    }
    if node.attribute("ObjectType") != Some("MODefinition") {
        return Err("ObjectType is not MODefinition".into());
    }
    let object = read_object(node)?;
    if path.file_stem().and_then(|stem| stem.to_str()) != Some(&object.id.to_string()) {
        return Err(format!(
            "the file has another name than its object id {}",
            object.id
        ));
    }
    Ok(object)
}

fn read_object(node: Node<'_, '_>) -> Result<Object, String> {
    const KNOWN: &[&str] = &[
        "Name",
        "Description1",
        "ObjectID",
        "ObjectURN",
        "LWM2MVersion",
        "ObjectVersion",
        "MultipleInstances",
        "Mandatory",
        "Resources",
        "Description2",
    ];
    let fields = fields(node, KNOWN)?;
    let id = number(required(&fields, "ObjectID")?)?;
    let version = version(fields.get("ObjectVersion").map_or("1.0", String::as_str))?;
    urn(required(&fields, "ObjectURN")?, id, version)?;
    let resources = node
        .children()
        .find(|child| child.has_tag_name("Resources"))
        .ok_or("no Resources")?;
    let mut items = BTreeMap::new();
    for item in resources.children().filter(Node::is_element) {
        if item.tag_name().name() != "Item" {
            return Err(format!(
                "unknown element {} in Resources",
                item.tag_name().name()
            ));
        }
        let text = item.attribute("ID").ok_or("an Item has no ID")?;
        let item_id = number(text).map_err(|error| format!("Item {text}: {error}"))?;
        let resource = read_item(item).map_err(|error| format!("Item {item_id}: {error}"))?;
        if items.insert(item_id, resource).is_some() {
            return Err(format!("Item {item_id}: the id comes twice"));
        }
    }
    let mut names: Vec<String> = items.values().map(|item| constant(&item.name)).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("two Items make the same constant {}", pair[0]));
    }
    Ok(Object {
        id,
        name: name(&fields)?,
        version,
        multiple: multiple(&fields)?,
        mandatory: mandatory(&fields)?,
        resources: items,
    })
}

fn read_item(node: Node<'_, '_>) -> Result<Resource, String> {
    const KNOWN: &[&str] = &[
        "Name",
        "Operations",
        "MultipleInstances",
        "Mandatory",
        "Type",
        "RangeEnumeration",
        "Units",
        "Description",
    ];
    let fields = fields(node, KNOWN)?;
    let operations = match required(&fields, "Operations")? {
        "" => "None",
        "R" => "R",
        "W" => "W",
        "RW" => "RW",
        "E" => "E",
        other => return Err(format!("unknown Operations {other:?}")),
    };
    let value_type = match required(&fields, "Type")? {
        "" => "None",
        "String" => "String",
        "Integer" => "Integer",
        "Unsigned Integer" => "UnsignedInteger",
        "Float" => "Float",
        "Boolean" => "Boolean",
        "Opaque" => "Opaque",
        "Time" => "Time",
        "Objlnk" => "Objlnk",
        "Corelnk" => "Corelnk",
        other => return Err(format!("unknown Type {other:?}")),
    };
    if (operations == "E") != (value_type == "None") {
        return Err("executables have no type, and all others have one".into());
    }
    Ok(Resource {
        name: name(&fields)?,
        operations,
        multiple: multiple(&fields)?,
        mandatory: mandatory(&fields)?,
        value_type,
        range: range(required(&fields, "RangeEnumeration")?, value_type)?,
        unit: required(&fields, "Units")?.to_owned(),
    })
}

fn fields(node: Node<'_, '_>, known: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let mut fields = BTreeMap::new();
    for child in node.children().filter(Node::is_element) {
        let tag = child.tag_name().name();
        if !known.contains(&tag) {
            return Err(format!("unknown element {tag}"));
        }
        let text = child.text().unwrap_or("").trim().to_owned();
        if fields.insert(tag.to_owned(), text).is_some() {
            return Err(format!("element {tag} comes twice"));
        }
    }
    Ok(fields)
}

fn required<'a>(fields: &'a BTreeMap<String, String>, tag: &str) -> Result<&'a str, String> {
    fields
        .get(tag)
        .map(String::as_str)
        .ok_or_else(|| format!("no element {tag}"))
}

fn name(fields: &BTreeMap<String, String>) -> Result<String, String> {
    match required(fields, "Name")? {
        "" => Err("empty Name".into()),
        name => Ok(name.to_owned()),
    }
}

fn multiple(fields: &BTreeMap<String, String>) -> Result<bool, String> {
    match required(fields, "MultipleInstances")? {
        "Multiple" => Ok(true),
        "Single" => Ok(false),
        other => Err(format!(
            "MultipleInstances is {other:?}, not Single or Multiple"
        )),
    }
}

fn mandatory(fields: &BTreeMap<String, String>) -> Result<bool, String> {
    match required(fields, "Mandatory")? {
        "Mandatory" => Ok(true),
        "Optional" => Ok(false),
        other => Err(format!("Mandatory is {other:?}, not Mandatory or Optional")),
    }
}

fn number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(u16::MAX) => Err("65535 is reserved".into()),
        Ok(id) => Ok(id),
        Err(_) => Err(format!("{text:?} is no id")),
    }
}

fn version(text: &str) -> Result<(u8, u8), String> {
    let parts = text.split_once('.');
    let parsed = parts.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parsed.ok_or_else(|| format!("{text:?} is no version"))
}

fn urn(urn: &str, id: u16, version: (u8, u8)) -> Result<(), String> {
    let kind = match id {
        0..=1023 => "oma",
        2048..=10240 => "ext",
        _ => "x",
    };
    let plain = format!("urn:oma:lwm2m:{kind}:{id}");
    let full = format!("{plain}:{}.{}", version.0, version.1);
    if urn == full || (urn == plain && version == (1, 0)) {
        return Ok(());
    }
    Err(format!("ObjectURN is {urn:?}, not {full:?}"))
}

/// The ranges the registry writes: `a..b`, `a-b`, and for texts and opaques `n` or `n bytes`.
fn range(text: &str, value_type: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok("Any".into());
    }
    let bad = || format!("RangeEnumeration {text:?} does not fit a {value_type}");
    let text = text.strip_suffix(" bytes").unwrap_or(text);
    let ends = text.split_once("..");
    let order = |ordered: bool| if ordered { Ok(()) } else { Err(bad()) };
    match value_type {
        "Integer" | "UnsignedInteger" | "Time" => {
            let (min, max) = ends.ok_or_else(bad)?;
            let min: i64 = min.parse().map_err(|_| bad())?;
            let max: i64 = max.parse().map_err(|_| bad())?;
            order(min <= max && (value_type != "UnsignedInteger" || min >= 0))?;
            Ok(format!("Integer({min}, {max})"))
        }
        "Float" => {
            let (min, max) = ends.ok_or_else(bad)?;
            let min: f64 = min.parse().map_err(|_| bad())?;
            let max: f64 = max.parse().map_err(|_| bad())?;
            order(min <= max)?;
            Ok(format!("Float({min:?}, {max:?})"))
        }
        "String" | "Opaque" | "Corelnk" => {
            let (min, max) = ends.unwrap_or((text, text));
            let min: u32 = min.parse().map_err(|_| bad())?;
            let max: u32 = max.parse().map_err(|_| bad())?;
            order(min <= max)?;
            Ok(format!("Length({min}, {max})"))
        }
        _ => Err(bad()),
    }
}

fn tables(objects: &BTreeMap<u16, Object>) -> String {
    let mut out = String::new();
    let mut all = String::new();
    for object in objects.values() {
        let static_name = constant(&object.name);
        let _ = writeln!(
            out,
            "/// {} (object {}).\npub static {static_name}: ObjectModel = ObjectModel {{ \
             id: {}, version: Version {{ major: {}, minor: {} }}, \
             multiple: {}, mandatory: {}, #[cfg(feature = \"alloc\")] name: {:?}, \
             resources: &[",
            object.name,
            object.id,
            object.id,
            object.version.0,
            object.version.1,
            object.multiple,
            object.mandatory,
            object.name,
        );
        for (id, item) in &object.resources {
            let _ = writeln!(
                out,
                "ResourceModel {{ id: {id}, operations: Operations::{}, \
                 multiple: {}, mandatory: {}, value_type: ValueType::{}, range: &Range::{}, \
                 #[cfg(feature = \"alloc\")] name: {:?}, #[cfg(feature = \"alloc\")] unit: {:?} }},",
                item.operations,
                item.multiple,
                item.mandatory,
                item.value_type,
                item.range,
                item.name,
                item.unit,
            );
        }
        out.push_str("] };\n");
        let _ = write!(all, "&{static_name}, ");
    }
    let _ = writeln!(out, "pub(super) static ALL: &[&ObjectModel] = &[{all}];");
    out
}

fn ids(objects: &BTreeMap<u16, Object>) -> Result<String, String> {
    let mut out = String::new();
    let mut seen = BTreeMap::new();
    for object in objects.values() {
        let constant_name = constant(&object.name);
        if let Some(other) = seen.insert(constant_name.clone(), object.id) {
            return Err(format!(
                "objects {other} and {} have the same name",
                object.id
            ));
        }
        let _ = writeln!(
            out,
            "/// {} (object {}).\npub const {constant_name}: u16 = {};\n\
             /// Resources of {} (object {}).\npub mod {} {{",
            object.name,
            object.id,
            object.id,
            object.name,
            object.id,
            constant_name.to_lowercase(),
        );
        for (id, item) in &object.resources {
            let constant_name = constant(&item.name);
            let _ = writeln!(
                out,
                "/// {}.\npub const {constant_name}: u16 = {id};",
                item.name
            );
        }
        out.push_str("}\n");
    }
    Ok(out)
}

/// `LwM2M Server URI` becomes `LWM2M_SERVER_URI`.
fn constant(name: &str) -> String {
    let mut constant = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            constant.push(character.to_ascii_uppercase());
        } else if !constant.is_empty() && !constant.ends_with('_') {
            constant.push('_');
        }
    }
    let trimmed = constant.trim_end_matches('_');
    if trimmed.starts_with(|first: char| first.is_ascii_digit()) {
        return format!("N{trimmed}");
    }
    trimmed.to_owned()
}
