// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes sources in which every change of a list is compiled in and asks whether it is on.
//!
//! Usage: weave CHANGES SOURCES TARGET <DROPPED
//!
//! CHANGES is what `cargo mutants --list --json` prints. Standard input has the numbers of changes that
//! shall be left out. Standard output is JSON: `woven`, the numbers of what is in the files; and `places`,
//! for each file its `[start, end, numbers]`, bytes in which a fault of the compiler is one of these changes.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::{env, fs, io};

use proc_macro2::LineColumn;
use serde_json::{Value, json};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, Expr, Signature, UnOp};

type Number = usize;
/// Kind, line and column of a change, as cargo-mutants counts them.
type Place = (&'static str, usize, usize);

fn main() -> Result<(), Box<dyn Error>> {
    let [changes, sources, target]: [String; 3] = env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "usage: weave CHANGES SOURCES TARGET <DROPPED")?;
    let changes: Vec<Value> = serde_json::from_str(&fs::read_to_string(changes)?)?;
    let mut dropped = String::new();
    io::stdin().read_to_string(&mut dropped)?;
    let dropped: BTreeSet<Number> = dropped
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;

    let mut files: BTreeMap<&str, Vec<Number>> = BTreeMap::new();
    for (number, change) in changes.iter().enumerate() {
        let file = change["file"].as_str().ok_or("a change without a file")?;
        files.entry(file).or_default().push(number);
    }

    let mut woven = Vec::new();
    let mut places = BTreeMap::new();
    for (file, numbers) in files {
        let text = fs::read_to_string(Path::new(&sources).join(file))?;
        let mut weaver = Weaver {
            text: &text,
            wanted: wanted(&changes, &numbers, &dropped),
            edits: Vec::new(),
        };
        weaver.visit_file(&syn::parse_file(&text)?);
        let written = Written::of(&text, weaver.edits);

        write_changed(&Path::new(&target).join(file), &written.text)?;
        woven.extend(written.numbers);
        places.insert(file.to_owned(), written.places);
    }

    woven.sort_unstable();
    let module = MODULE.replace("COUNT", &changes.len().to_string());
    write_changed(&Path::new(&target).join("src/mutation.rs"), &module)?;
    println!("{}", json!({"woven": woven, "places": places}));
    Ok(())
}

/// Leaves a file alone that is right already, so that nothing is built for nothing.
fn write_changed(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, text)
}

fn wanted(
    changes: &[Value],
    numbers: &[Number],
    dropped: &BTreeSet<Number>,
) -> BTreeMap<(String, usize, usize), Vec<(Number, String)>> {
    let mut wanted: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for &number in numbers.iter().filter(|number| !dropped.contains(number)) {
        let change = &changes[number];
        let start = &change["span"]["start"];
        let at = |name: &str| start[name].as_u64().unwrap_or_default() as usize;
        let word = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
        wanted
            .entry((word("genre"), at("line"), at("column")))
            .or_default()
            .push((number, word("replacement")));
    }
    wanted
}

/// Something to write into a file.
enum Kind {
    /// Instead of an expression, one of these if it is on.
    Instead(Vec<(Number, String)>),
    /// More text, each for one change.
    More(Vec<(Number, String)>),
    /// Nothing; faults in here that are at no change itself are of one of these in here.
    Function,
}

struct Weaver<'a> {
    text: &'a str,
    wanted: BTreeMap<(String, usize, usize), Vec<(Number, String)>>,
    edits: Vec<(Range<usize>, Kind)>,
}

impl Weaver<'_> {
    fn take(&mut self, (kind, line, column): Place) -> Vec<(Number, String)> {
        self.wanted
            .remove(&(kind.to_owned(), line, column))
            .unwrap_or_default()
    }

    fn part(&self, range: Range<usize>) -> &str {
        &self.text[range]
    }

    fn instead(&mut self, range: Range<usize>, ways: Vec<(Number, String)>) {
        if !ways.is_empty() {
            self.edits.push((range, Kind::Instead(ways)));
        }
    }

    /// The values that a function returns at once.
    fn function(&mut self, signature: &Signature, block: &Block) {
        // What is computed by the compiler cannot ask.
        let Some(first) = block.stmts.first() else {
            return;
        };
        if signature.constness.is_some() {
            return;
        }

        let inside = block.span().byte_range();
        self.edits.push((inside.clone(), Kind::Function));
        let ways = self.take(place("FnValue", first.span().start()));
        let ways: Vec<_> = ways
            .into_iter()
            .map(|(number, value)| {
                let asked = ask(number);
                (number, format!(" if {asked} {{ return {value}; }}"))
            })
            .collect();
        if !ways.is_empty() {
            let at = inside.start + 1;
            self.edits.push((at..at, Kind::More(ways)));
        }
    }
}

fn place(kind: &'static str, at: LineColumn) -> Place {
    (kind, at.line, at.column + 1)
}

fn ask(number: Number) -> String {
    format!("crate::mutation::is_on({number})")
}

/// Whether a condition has a pattern in it: `let` is no expression that could stand in parentheses.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Weaver<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        if item.sig.constness.is_none() {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        if item.sig.constness.is_none() {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    // Constants, lengths in types and patterns are computed by the compiler.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        if !has_let(&binary.left) && !has_let(&binary.right) {
            let (left, right) = (binary.left.span(), binary.right.span());
            let (left, right) = (left.byte_range(), right.byte_range());
            let range = left.start..right.end;
            let ways = self.take(place("BinaryOperator", binary.op.span().start()));
            let ways = ways
                .into_iter()
                .map(|(number, operator)| {
                    let (left, right) = (self.part(left.clone()), self.part(right.clone()));
                    (number, format!("({left}) {operator} ({right})"))
                })
                .collect();
            self.instead(range, ways);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        if matches!(unary.op, UnOp::Not(_) | UnOp::Neg(_)) {
            let ways = self.take(place("UnaryOperator", unary.op.span().start()));
            let operand = self.part(unary.expr.span().byte_range()).to_owned();
            let ways = ways
                .into_iter()
                .map(|(number, _)| (number, operand.clone()))
                .collect();
            self.instead(unary.span().byte_range(), ways);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let Some((_, guard)) = &arm.guard {
            let ways = self.take(place("MatchArmGuard", guard.span().start()));
            if !has_let(guard) {
                self.instead(guard.span().byte_range(), ways);
            }
        } else {
            let ways = self.take(place("MatchArm", arm.span().start()));
            let at = arm.pat.span().byte_range().end;
            let ways: Vec<_> = ways
                .into_iter()
                .map(|(number, _)| (number, format!(" if !{}", ask(number))))
                .collect();
            if !ways.is_empty() {
                self.edits.push((at..at, Kind::More(ways)));
            }
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, whole: &'ast syn::ExprStruct) {
        let range = whole.span().byte_range();
        let mut ways = Vec::new();
        for pair in whole.fields.pairs() {
            let field = pair.value().span();
            let comma = pair.punct().map(|comma| comma.span().byte_range().end);
            let end = comma.unwrap_or(field.byte_range().end);
            for (number, _) in self.take(place("StructField", field.start())) {
                let before = self.part(range.start..field.byte_range().start);
                ways.push((number, format!("{before}{}", self.part(end..range.end))));
            }
        }
        self.instead(range, ways);
        visit::visit_expr_struct(self, whole);
    }
}

/// A file with its changes.
#[derive(Default)]
struct Written {
    text: String,
    numbers: Vec<Number>,
    places: Vec<Value>,
}

impl Written {
    fn of(text: &str, mut edits: Vec<(Range<usize>, Kind)>) -> Self {
        // The outer before the inner; what has the same place comes in the order of the visits.
        edits.sort_by_key(|(range, _)| (range.start, usize::MAX - range.end));
        let mut written = Self::default();
        written.part(text, 0..text.len(), &mut edits.into_iter().peekable());
        written
    }

    fn part(
        &mut self,
        text: &str,
        range: Range<usize>,
        edits: &mut std::iter::Peekable<std::vec::IntoIter<(Range<usize>, Kind)>>,
    ) {
        let mut at = range.start;
        while let Some((inner, kind)) = edits.next_if(|(inner, _)| inner.end <= range.end) {
            self.text.push_str(&text[at..inner.start]);
            at = inner.end;
            let (start, first) = (self.text.len(), self.numbers.len());
            match kind {
                Kind::Function => self.part(text, inner, edits),
                Kind::More(ways) => {
                    for (number, more) in ways {
                        self.way(number, &more);
                    }
                }
                Kind::Instead(ways) => {
                    self.text.push('(');
                    for (number, way) in ways {
                        self.way(number, &format!("if {} {{ {way} }}", ask(number)));
                        self.text.push_str(" else ");
                    }
                    self.text.push_str("{ ");
                    self.part(text, inner, edits);
                    self.text.push_str(" })");
                }
            }
            self.place(start, first);
        }
        self.text.push_str(&text[at..range.end]);
    }

    fn way(&mut self, number: Number, text: &str) {
        let (start, first) = (self.text.len(), self.numbers.len());
        self.text.push_str(text);
        self.numbers.push(number);
        self.place(start, first);
    }

    fn place(&mut self, start: usize, first: usize) {
        let numbers = &self.numbers[first..];
        self.places.push(json!([start, self.text.len(), numbers]));
    }
}

/// The module that the changes ask. The choice is in the environment, so that it counts for children, too.
const MODULE: &str = r#"
use std::fs::File;
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static CHOICE: OnceLock<(usize, Option<File>)> = OnceLock::new();
static REACHED: [AtomicBool; COUNT + 1] = [const { AtomicBool::new(false) }; COUNT + 1];

pub fn is_on(number: usize) -> bool {
    let (chosen, file) = CHOICE.get_or_init(|| {
        let chosen = std::env::var("MUTATION_ON").ok().and_then(|text| text.parse().ok());
        let file = std::env::var_os("MUTATION_REACHED")
            .and_then(|path| File::options().append(true).create(true).open(path).ok());
        (chosen.unwrap_or(usize::MAX), file)
    });
    if let Some(mut file) = file.as_ref() && !REACHED[number].swap(true, Ordering::Relaxed) {
        let _ = file.write_all(format!("{number}\n").as_bytes());
    }
    *chosen == number
}
"#;
