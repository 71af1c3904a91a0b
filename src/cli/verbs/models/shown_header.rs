// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the header of a model is told: in rows and as JSON.

use std::fs::File;
use std::io::Read as _;

use serde_json::{Value, json};

use crate::cli::terminal::size;
use crate::formats::ModelHeader;

/// What is printed of a header, each with its key.
pub(super) fn rows(header: &ModelHeader) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut format = vec![header.format.clone()];
    let names = [&header.architecture, &header.quantization, &header.name];
    format.extend(names.into_iter().flatten().cloned());
    rows.push(("format", format.join(", ")));

    if let Some(license) = &header.license {
        rows.push(("licence", format!("{license} (says the file)")));
    }
    if header.tensors > 0 {
        let types = header.types.iter();
        let types: Vec<_> = types
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let sum = header.tensors.to_string();
        let told = if types.is_empty() {
            sum
        } else {
            format!("{sum}: {}", types.join(", "))
        };
        rows.push(("tensors", told));
        rows.push(("memory", memory(header.bytes)));
    }
    if header.parameters > 0 {
        rows.push(("parameters", header.parameters.to_string()));
    }
    if let Some(length) = header.context_length {
        rows.push(("context", length.to_string()));
    }

    if let Some(imports) = &header.imports {
        let mut told = imports.names.join(", ");
        let more = imports.count.saturating_sub(imports.names.len() as u64);
        if more > 0 {
            told += &format!(" and {more} more");
        }
        rows.push(match imports.count {
            0 if imports.obscured.is_some() => {
                ("unsafe", "nobody knows what loading it runs".to_owned())
            }
            0 => ("imports", "nothing but what makes tensors".to_owned()),
            _ => (
                "unsafe",
                format!("imports {told}: whoever loads it may run any program"),
            ),
        });
    }
    if let Some(flaw) = &header.flaw {
        rows.push(("flaw", format!("{flaw}; what was read until there is told")));
    }
    rows
}

/// The same for programs.
pub(super) fn json_of(header: &ModelHeader) -> Value {
    let types = header.types.iter();
    let types: Vec<_> = types
        .map(|(kind, count)| json!({"type": kind, "tensors": count}))
        .collect();
    let first = header.first.iter();
    let first: Vec<_> = first
        .map(|one| json!({"name": one.name, "type": one.kind, "shape": one.shape}))
        .collect();
    let imports = header.imports.clone().unwrap_or_default();
    json!({
        "format": header.format,
        "label": header.name,
        "architecture": header.architecture,
        "quantization": header.quantization,
        "license": header.license,
        "context_length": header.context_length,
        "tensors": header.tensors,
        "parameters": header.parameters,
        "memory": header.bytes,
        "available": available(),
        "types": types,
        "first": first,
        "imports": imports.names,
        "unsafe": !imports.is_harmless(),
        "flaw": header.flaw,
    })
}

fn memory(bytes: u64) -> String {
    let needed = format!("{} for the tensors", size(bytes));
    match available() {
        Some(left) if left < bytes => format!(
            "{needed}, which is more than the {} that this device has available",
            size(left)
        ),
        Some(left) => format!("{needed}; this device has {} available", size(left)),
        None => needed,
    }
}

/// The memory that programs of this device can have without others being moved out, as the kernel estimates
/// it.
fn available() -> Option<u64> {
    let mut text = String::new();
    let file = File::open("/proc/meminfo").ok()?;
    file.take(MEMORY_BYTES).read_to_string(&mut text).ok()?;
    kibibytes(&text)?.checked_mul(1024)
}

fn kibibytes(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The whole table has half of that.
const MEMORY_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::ForeignImports;

    #[test]
    fn rows_say_what_matters() {
        let mut header = ModelHeader::of("GGUF 3");
        assert_eq!(rows(&header), [("format", "GGUF 3".to_owned())]);

        header.architecture = Some("llama".to_owned());
        header.license = Some("MIT".to_owned());
        header.context_length = Some(4096);
        (header.tensors, header.parameters, header.bytes) = (3, 7, 1 << 60);
        header.types.insert("F32".to_owned(), 3);
        header.flaw = Some("it ends".to_owned());
        let mut imports = ForeignImports::default();
        imports.add("os.system".to_owned());
        imports.add("os.system".to_owned());
        header.imports = Some(imports);
        let told = rows(&header);
        let told: Vec<_> = told
            .iter()
            .map(|(key, value)| format!("{key} {value}"))
            .collect();
        for part in [
            "format GGUF 3, llama",
            "licence MIT (says the file)",
            "tensors 3: 3 F32",
            "more than the",
            "parameters 7",
            "context 4096",
            "unsafe imports os.system and 1 more: whoever",
            "flaw it ends;",
        ] {
            assert!(told.join("\n").contains(part), "{part} {told:?}");
        }
    }

    #[test]
    fn the_kernel_tells_what_is_available() {
        let text = "MemTotal:       16 kB\nMemAvailable:    8 kB\n";
        assert_eq!(kibibytes(text), Some(8));
        assert_eq!(kibibytes("MemAvailable: x kB"), None);
        assert_eq!(kibibytes(""), None);
    }
}
