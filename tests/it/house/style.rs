// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a reader meets: steps that can be told apart, calls that say what they mean, and no names of
//! what is not here.

use syn::visit::Visit;

use crate::house::tidy::{Sources, documents, tree};

/// Statements that may follow each other without a blank line.
const STEPS_MAX: usize = 8;

#[test]
fn steps_of_a_function_can_be_told_apart() {
    assert_eq!(steps(&tree()), [""; 0]);

    let statements = |count: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(count));
    assert_eq!(steps(&planted(&statements(STEPS_MAX))), [""; 0]);
    assert_eq!(steps(&planted(&statements(STEPS_MAX + 1))).len(), 1);
    let halves = statements(STEPS_MAX).replace("}\n", "\n") + &statements(STEPS_MAX)[8..];
    assert_eq!(steps(&planted(&halves)), [""; 0]);
    let nested = format!(
        "fn f() {{\n    if a {{\n{}    }}\n}}\n",
        "        g();\n".repeat(9)
    );
    assert_eq!(steps(&planted(&nested)).len(), 1);
}

#[test]
fn booleans_are_tested_with_if_and_closures_say_what_they_do() {
    assert_eq!(unclear(&tree()), [""; 0]);

    for bad in [
        "    true if x => y,",
        "    false => y,",
        "let failed = |error| y;",
    ] {
        assert_eq!(unclear(&planted(bad)).len(), 1, "{bad}");
    }
    assert_eq!(
        unclear(&planted("(true, _) => y,\nlet failed = f();")),
        [""; 0]
    );
}

#[test]
fn no_public_signature_has_a_boolean() {
    assert_eq!(booleans(&tree()), [""; 0]);

    for bad in [
        "pub fn f(is_new: bool) {}",
        "impl A { pub fn f(&self, is_new: bool) {} }",
        "pub trait A { fn f(&self, is_new: bool); }",
    ] {
        assert_eq!(booleans(&planted(bad)).len(), 1, "{bad}");
    }
    let private =
        "pub(crate) fn f(is_new: bool) {} trait A { fn f(is_new: bool); } pub fn g() -> bool {}";
    assert_eq!(booleans(&planted(private)), [""; 0]);
}

#[test]
fn no_text_names_what_is_not_here() {
    let texts = documents();
    assert_eq!(foreign_documents(&texts, &texts), [""; 0]);
    assert_eq!(ids(&texts), [""; 0]);

    // Put together here, or this file would break the rule.
    for word in ["DESIGN", "src/manual/absent", "HOUSE"] {
        let bad = planted(&format!("// see {word}.md."));
        assert_eq!(foreign_documents(&bad, &texts).len(), 1, "{word}");
    }
    let good = planted("`README.md`, (json.md) and .github/CONTRIBUTING.md");
    assert_eq!(foreign_documents(&good, &texts), [""; 0]);
    for id in [["G", "14"], ["D", "07"]] {
        assert_eq!(ids(&planted(&format!("// ({}).", id.concat()))).len(), 1);
    }
    assert_eq!(
        ids(&planted("// X25519, RFC 9112, 0xE01, AB12, A1")),
        [""; 0]
    );
}

fn planted(text: &str) -> Sources {
    Sources::from([("src/a.rs".to_owned(), text.to_owned())])
}

/// Where too many statements stand in one block without a blank line.
fn steps(sources: &Sources) -> Vec<String> {
    let mut violations = Vec::new();
    let is_production = |path: &str| path.starts_with("src/") && !path.ends_with("/tests.rs");
    let files = sources.iter().filter(|(path, _)| path.ends_with(".rs"));
    for (path, text) in files.filter(|(path, _)| is_production(path)) {
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());

        // Statements since the last blank line, by the depth of their block.
        let mut counts: Vec<usize> = Vec::new();
        for (line, number) in text[..end].lines().zip(1..) {
            if line.trim().is_empty() {
                counts.clear();
                continue;
            }
            let depth = (line.len() - line.trim_start().len()) / 4;
            counts.resize(depth + 1, 0);
            counts[depth] += usize::from(depth > 0 && is_statement(line.trim()));
            if counts[depth] == STEPS_MAX + 1 {
                violations.push(format!("{path}:{number}: no blank line between the steps"));
            }
        }
    }
    violations
}

/// Whether a line as rustfmt leaves it begins a statement; arms, fields and what follows a first line
/// do not.
fn is_statement(line: &str) -> bool {
    const NONE: [&str; 15] = [
        "}", ")", "]", ".", "/", "#", "?", "&&", "||", "+", "-", "pub ", "fn ", "use ", "type ",
    ];
    const FIRST: [&str; 7] = ["let ", "if ", "for ", "while ", "match ", "loop ", "return"];
    let is_part = line.ends_with(',') || line.contains("=>");
    let is_none = NONE.iter().any(|begin| line.starts_with(begin));
    let begins = FIRST.iter().any(|begin| line.starts_with(begin));
    !is_part && !is_none && (line.ends_with(';') || begins)
}

/// A `match` on a boolean, and closures whose name says nothing.
fn unclear(sources: &Sources) -> Vec<String> {
    const BEGINS: [&str; 5] = [
        "true =>",
        "true if ",
        "false =>",
        "false if ",
        "let failed = |",
    ];
    let mut violations = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| path.starts_with("src/")) {
        for (line, number) in text.lines().zip(1..) {
            if BEGINS.iter().any(|begin| line.trim().starts_with(begin)) {
                violations.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    violations
}

/// Public functions that are called with `true` or `false`, which say nothing to a reader.
fn booleans(sources: &Sources) -> Vec<String> {
    let mut violations = Vec::new();
    let files = sources.iter().filter(|(path, _)| path.ends_with(".rs"));
    for (path, text) in files.filter(|(path, _)| path.starts_with("src/")) {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut signatures = Signatures(Vec::new());
        signatures.visit_file(&file);
        violations.extend(
            signatures
                .0
                .iter()
                .map(|name| format!("{path}: {name} takes a boolean")),
        );
    }
    violations
}

/// The public functions of a file that take a boolean.
struct Signatures(Vec<String>);

impl Signatures {
    fn judge(&mut self, signature: &syn::Signature) {
        let is_boolean = |input: &syn::FnArg| {
            let syn::FnArg::Typed(input) = input else {
                return false;
            };
            matches!(&*input.ty, syn::Type::Path(path) if path.path.is_ident("bool"))
        };
        if signature.inputs.iter().any(is_boolean) {
            self.0.push(signature.ident.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Signatures {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if matches!(item.vis, syn::Visibility::Public(_)) {
            self.judge(&item.sig);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if matches!(item.vis, syn::Visibility::Public(_)) {
            self.judge(&item.sig);
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        if !matches!(item.vis, syn::Visibility::Public(_)) {
            return;
        }
        for item in &item.items {
            if let syn::TraitItem::Fn(function) = item {
                self.judge(&function.sig);
            }
        }
    }
}

/// Names of documents that are not in the repository.
fn foreign_documents(texts: &Sources, here: &Sources) -> Vec<String> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "_-/.*$<".contains(letter);
    let is_here = |name: &str| {
        let is_it = |path: &String| path == name || path.ends_with(&format!("/{name}"));
        here.keys().any(is_it)
    };

    let mut violations = Vec::new();
    for (path, text) in texts {
        for word in text.split(|letter| !is_letter(letter)) {
            let word = word.trim_end_matches('.').trim_start_matches(['.', '/']);
            let is_name = word.len() > ".md".len() && !word.contains(['*', '$', '<']);
            if is_name && word.ends_with(".md") && !is_here(word) && !is_here(&format!(".{word}")) {
                violations.push(format!("{path}: {word} is not in the repository"));
            }
        }
    }
    violations
}

/// Types of numbers, as formats of models call them.
const NUMBER_TYPES: &[&str] = &[
    "F16", "F32", "F64", "I16", "I32", "I64", "U16", "U32", "U64", "C64",
];

/// Ids of lists that are not in the repository: a letter and two digits.
fn ids(texts: &Sources) -> Vec<String> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_id = |word: &&str| {
        let bytes = word.as_bytes();
        let is_long_enough = bytes.len() == 3 && bytes[0].is_ascii_uppercase();
        let is_type = NUMBER_TYPES.contains(word);
        is_long_enough && !is_type && bytes[1..].iter().all(u8::is_ascii_digit)
    };

    let mut violations = Vec::new();
    for (path, text) in texts
        .iter()
        .filter(|(path, _)| !path.contains("/fixtures/"))
    {
        let words = text.split(|letter| !is_word(letter)).filter(is_id);
        violations.extend(words.map(|word| format!("{path}: {word} is an id of something else")));
    }
    violations
}
