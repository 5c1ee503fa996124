//! `tinsmith credential import`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::line::{Form, Line};
use crate::api::Server;
use crate::out::{self, plain};

/// Keys that are sent at once, and bytes of them; the server takes no more.
const KEYS: usize = 256;
const BYTES: usize = 48 << 10;
/// Bytes of a line.
const LONGEST: usize = 4096;
/// Lines after which it is said how far it is.
const SAY_EVERY: u64 = 10_000;

#[derive(Default)]
struct Counts {
    lines: u64,
    added: u64,
    unchanged: u64,
    wrong: Vec<(u64, String)>,
}

struct Import<'s> {
    server: &'s Server,
    source: String,
    dry_run: bool,
    json: bool,
    counts: Counts,
    /// What is not sent yet, and the numbers of its lines.
    keys: Vec<Value>,
    numbers: Vec<u64>,
    bytes: usize,
}

pub(super) fn run(file: &Path, dry_run: bool, server: &Server, json: bool) -> Result<()> {
    let source = file.display().to_string();
    let reader: Box<dyn Read> = match source.as_str() {
        "-" => Box::new(stdin().lock()),
        _ => Box::new(File::open(file).with_context(|| format!("cannot read {source}"))?),
    };
    let mut import = Import {
        server,
        source,
        dry_run,
        json,
        counts: Counts::default(),
        keys: Vec::new(),
        numbers: Vec::new(),
        bytes: 0,
    };
    let read = import.read(BufReader::new(reader));
    let sent = read.and_then(|()| import.send());
    let done = import.tell();
    sent.with_context(|| {
        format!(
            "after {} lines; the same file can be given again",
            import.counts.added + import.counts.unchanged + import.counts.wrong.len() as u64
        )
    })?;
    done?;
    match import.counts.wrong.len() {
        0 => Ok(()),
        1 => bail!("a line was not taken"),
        wrong => bail!("{wrong} lines were not taken"),
    }
}

impl Import<'_> {
    fn read(&mut self, mut reader: impl BufRead) -> Result<()> {
        let mut form = None;
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
        loop {
            line.clear();
            let len = reader
                .by_ref()
                .take(LONGEST as u64)
                .read_until(b'\n', &mut line)
                .with_context(|| format!("cannot read {}", self.source))?;
            if len == 0 {
                return Ok(());
            }
            self.counts.lines += 1;
            if line.last() != Some(&b'\n') && len == LONGEST {
                self.wrong(self.counts.lines, "the line is too long");
                reader
                    .skip_until(b'\n')
                    .with_context(|| format!("cannot read {}", self.source))?;
                continue;
            }
            let text = std::str::from_utf8(&line);
            let read = text.map_err(|_| "no UTF-8".to_owned());
            let read = read.and_then(|text| {
                let text = text.trim_start_matches('\u{feff}');
                if text.trim().is_empty() {
                    return Ok(None);
                }
                if let Some(form) = &form {
                    return Form::read(form, text).map(Some);
                }
                let (found, is_head) = Form::of(text)?;
                let form = form.insert(found);
                match is_head {
                    true => Ok(None),
                    false => form.read(text).map(Some),
                }
            });
            match read {
                Ok(Some(line)) => self.take(&line)?,
                Ok(None) => {}
                Err(why) => self.wrong(self.counts.lines, &why),
            }
            if self.counts.lines.is_multiple_of(SAY_EVERY) {
                out::say(format_args!("{} lines", self.counts.lines));
            }
        }
    }

    fn take(&mut self, line: &Line) -> Result<()> {
        let key = json!({
            "endpoints": line.endpoint,
            "identity": line.identity,
            "purpose": line.purpose,
            "key": *line.key,
        });
        let bytes = key.to_string().len();
        if self.keys.len() == KEYS || self.bytes + bytes > BYTES {
            self.send()?;
        }
        self.bytes += bytes;
        self.keys.push(key);
        self.numbers.push(self.counts.lines);
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let body = json!({
            "source": self.source,
            "dry_run": self.dry_run,
            "credentials": std::mem::take(&mut self.keys),
        });
        self.bytes = 0;
        let numbers = std::mem::take(&mut self.numbers);
        let answer = self.server.post("/api/v1/credentials/import", &body)?;
        self.counts.added += answer["added"].as_u64().unwrap_or_default();
        self.counts.unchanged += answer["unchanged"].as_u64().unwrap_or_default();
        for refused in answer["refused"].as_array().into_iter().flatten() {
            let index = refused["index"]
                .as_u64()
                .and_then(|n| usize::try_from(n).ok());
            let number = index.and_then(|index| numbers.get(index));
            let why = refused["message"].as_str().unwrap_or_default();
            self.wrong(number.copied().unwrap_or_default(), why);
        }
        Ok(())
    }

    fn wrong(&mut self, number: u64, why: &str) {
        let (source, why) = (plain(&self.source), plain(why));
        out::say(format_args!("{source}:{number}: {why}"));
        self.counts.wrong.push((number, why.into_owned()));
    }

    fn tell(&self) -> Result<()> {
        let Counts {
            added,
            unchanged,
            wrong,
            ..
        } = &self.counts;
        if self.json {
            let wrong = wrong.iter();
            let wrong = wrong.map(|(line, why)| json!({ "line": line, "message": why }));
            return out::json(&json!({
                "dry_run": self.dry_run,
                "added": added,
                "unchanged": unchanged,
                "refused": wrong.collect::<Vec<_>>(),
            }));
        }
        let would = if self.dry_run {
            "would be added"
        } else {
            "added"
        };
        let refused = wrong.len();
        out::print(&format!(
            "{added} {would}, {unchanged} unchanged, {refused} refused\n"
        ))
    }
}
