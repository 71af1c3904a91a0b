// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The structure of the house, read from the syntax of its sources: no circle of files, small folders,
//! one meaning for each name, no state of the process outside of a list.
//!
//! Each rule is shown to find a planted violation. Unit tests inside the sources may use anything.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;
use syn::{Attribute, File, Item, UseTree};

use crate::house::tidy::{Sources, tree};

/// The path of a module from the root of the crate.
type Module = Vec<String>;

/// Files of production code in a folder; in the root of `src`, each file is a room.
const FILES_MAX: usize = 12;

/// Stems that may stand twice: verbs are called as users call them, sections as they write them.
const TWICE: &[&str] = &["src/cli/verbs/", "src/config/settings/"];

/// State that belongs to the process, and why it cannot belong to less.
const STATICS: &[(&str, &str)] = &[
    (
        "src/clock.rs: FLOOR",
        "there is one time, and formatters of it everywhere",
    ),
    (
        "src/disk/mod.rs: UNFINISHED",
        "a signal removes what is unfinished, wherever it is",
    ),
    (
        "src/logging/logger.rs: STAMPED",
        "the log facade has one logger for each process",
    ),
    (
        "src/logging/logger.rs: FORMAT",
        "the log facade has one logger for each process",
    ),
    (
        "src/logging/logger.rs: LOG",
        "the log facade has one logger for each process",
    ),
    (
        "src/cli/terminal/standard.rs: MODES",
        "a signal that ends the process gives its terminal back",
    ),
    (
        "src/cli/terminal/signals.rs: ASKED",
        "a signal comes to the process",
    ),
    (
        "src/cli/terminal/signals.rs: PHASE",
        "a signal comes to the process",
    ),
    (
        "src/cli/terminal/signals.rs: WAKING",
        "a signal comes to the process",
    ),
    (
        "src/cli/terminal/signals.rs: AT_REST",
        "a signal comes to the process",
    ),
    (
        "src/cli/terminal/signals.rs: RUNNING",
        "a signal comes to the process",
    ),
    (
        "src/cli/terminal/signals.rs: RESTING",
        "a signal comes to the process",
    ),
    (
        "src/cli/terminal/signals.rs: REPORT",
        "a signal comes to the process",
    ),
    (
        "src/disk/fault.rs: thread_local",
        "each test plants faults of its own; there is no such file in the product",
    ),
    ("src/http/fuzz.rs: NOBODY", "a constant, for fuzzing only"),
];

/// A crate as far as its structure goes.
struct Crate {
    paths: BTreeMap<Module, String>,
    files: BTreeMap<Module, File>,
    items: BTreeMap<Module, BTreeSet<String>>,
    /// What a `use` brings into a module: name to absolute path.
    imports: BTreeMap<Module, Vec<Import>>,
}

struct Import {
    name: String,
    target: Module,
    /// A `pub use` is a door for others, and no import of its file.
    is_door: bool,
}

impl Crate {
    fn read(sources: &Sources) -> Self {
        let mut house = Self {
            paths: BTreeMap::new(),
            files: BTreeMap::new(),
            items: BTreeMap::new(),
            imports: BTreeMap::new(),
        };
        for (path, text) in sources {
            let is_source = path.starts_with("src/") && path.ends_with(".rs");
            if !is_source || path == "src/main.rs" || path.ends_with("/tests.rs") {
                continue;
            }
            let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
            let module = module_of(path);
            house.paths.insert(module.clone(), path.clone());
            house.files.insert(module, file);
        }

        for (module, file) in &house.files {
            let names = file.items.iter().filter_map(name_of).collect();
            house.items.insert(module.clone(), names);
        }
        for (module, file) in &house.files {
            let mut imports = Vec::new();
            for item in &file.items {
                if let Item::Use(item) = item
                    && !is_test(&item.attrs)
                {
                    let is_door = !matches!(item.vis, syn::Visibility::Inherited);
                    house.leaves(module, &item.tree, Vec::new(), is_door, &mut imports);
                }
            }
            house.imports.insert(module.clone(), imports);
        }
        house
    }

    /// Collects the leaves of a `use` that lead into this crate.
    fn leaves(
        &self,
        module: &Module,
        tree: &UseTree,
        mut prefix: Module,
        is_door: bool,
        imports: &mut Vec<Import>,
    ) {
        let mut leaf = |mut path: Module, name: String, last: Option<String>| {
            path.extend(last.filter(|last| last != "self"));
            if let Some(target) = self.absolute(module, &path) {
                imports.push(Import {
                    name,
                    target,
                    is_door,
                });
            }
        };
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.leaves(module, &path.tree, prefix, is_door, imports);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.leaves(module, tree, prefix.clone(), is_door, imports);
                }
            }
            UseTree::Name(name) => {
                let ident = name.ident.to_string();
                let shown = match ident.as_str() {
                    "self" => prefix.last().cloned().unwrap_or_default(),
                    _ => ident.clone(),
                };
                leaf(prefix, shown, Some(ident));
            }
            UseTree::Rename(rename) => {
                leaf(
                    prefix,
                    rename.rename.to_string(),
                    Some(rename.ident.to_string()),
                );
            }
            UseTree::Glob(_) => leaf(prefix, "*".to_owned(), None),
        }
    }

    /// A path as it stands in a module, from the root of the crate; `None` for other crates.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module.as_slice(), rest].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let above = module.get(..module.len().checked_sub(ups)?)?;
                Some([above, &path[ups..]].concat())
            }
            child => {
                let mut inside = module.clone();
                inside.push(child.to_owned());
                let is_child = self.files.contains_key(&inside);
                is_child.then(|| [module.as_slice(), path].concat())
            }
        }
    }

    /// The module that defines what a path names, through whatever doors it goes.
    fn definition(&self, path: &[String], depth: usize) -> Option<Module> {
        let longest = (0..=path.len())
            .rev()
            .find(|length| self.files.contains_key(&path[..*length]))?;
        let (module, rest) = (path[..longest].to_vec(), &path[longest..]);

        // A module and an item of one name: the item is what others mean.
        if let (Some(last), true) = (path.last(), rest.is_empty() && longest > 1) {
            let above = path[..longest - 1].to_vec();
            let door = self.door(&above, last);
            if let Some(target) = door.filter(|target| *target != path && depth < 8) {
                return self.definition(&target, depth + 1);
            }
        }
        let Some(name) = rest.first() else {
            return Some(module);
        };
        if self.items[&module].contains(name) || depth == 8 {
            return Some(module);
        }
        match self.door(&module, name) {
            Some(target) => self.definition(&target, depth + 1),
            None => Some(module),
        }
    }

    fn door(&self, module: &Module, name: &str) -> Option<Module> {
        let imports = self.imports.get(module)?;
        imports
            .iter()
            .find(|import| import.name == name)
            .map(|import| import.target.clone())
    }

    /// Which files a file imports.
    fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let mut edges = BTreeMap::new();
        for (module, file) in &self.files {
            let mut paths = Paths::default();
            paths.visit_file(file);

            let mut targets: BTreeSet<Module> = BTreeSet::new();
            for import in self.imports[module].iter().filter(|import| !import.is_door) {
                let is_module = self.files.contains_key(&import.target);
                if !is_module || import.name == "*" {
                    targets.extend(self.definition(&import.target, 0));
                }
            }
            for path in &paths.0 {
                let of_import = self
                    .door(module, &path[0])
                    .filter(|target| self.files.contains_key(target) && path.len() > 1)
                    .map(|target| [target.as_slice(), &path[1..]].concat());
                let named = of_import.or_else(|| self.absolute(module, path));
                targets.extend(named.and_then(|path| self.definition(&path, 0)));
            }
            targets.remove(module);
            targets.remove(&Module::new());
            if !module.is_empty() {
                edges.insert(module.clone(), targets);
            }
        }
        edges
    }
}

/// All paths in the code of a file.
#[derive(Default)]
struct Paths(Vec<Module>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts = path.segments.iter().map(|part| part.ident.to_string());
        self.0.push(parts.collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, _: &'ast syn::ItemUse) {}

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

fn module_of(path: &str) -> Module {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let inside = inside.trim_end_matches("mod").trim_end_matches('/');
    match inside {
        "lib" => Module::new(),
        inside => inside.split('/').map(str::to_owned).collect(),
    }
}

fn name_of(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

/// Files that import each other in a circle, however long.
fn circles(sources: &Sources) -> Vec<String> {
    let house = Crate::read(sources);
    let edges = house.edges();
    let mut reached: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for start in edges.keys() {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&Module> = edges[start].iter().collect();
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(edges.get(module).into_iter().flatten());
            }
        }
        reached.insert(start, seen);
    }

    let in_circle = reached
        .iter()
        .filter(|(module, seen)| seen.contains(*module));
    in_circle
        .map(|(module, _)| {
            let near = edges[*module].iter().filter(|other| {
                reached
                    .get(other)
                    .is_some_and(|seen| seen.contains(*module))
            });
            let near: Vec<_> = near.map(|other| other.join("::")).collect();
            format!(
                "{}: a circle with {}",
                house.paths[*module],
                near.join(", ")
            )
        })
        .collect()
}

fn folders(sources: &Sources) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let files = sources.keys().filter(|path| path.starts_with("src/"));
    for path in files.filter(|path| !path.ends_with("/tests.rs")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *counts.entry(folder).or_default() += 1;
    }
    let full = counts
        .into_iter()
        .filter(|(folder, count)| *folder != "src" && *count > FILES_MAX);
    full.map(|(folder, count)| format!("{folder}: {count} files"))
        .collect()
}

fn stems(sources: &Sources) -> Vec<String> {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    let mut violations = Vec::new();
    for path in sources.keys().filter(|path| path.starts_with("src/")) {
        let stem = path.rsplit('/').next().unwrap_or_default();
        let is_listed = TWICE.iter().any(|folder| path.starts_with(folder));
        if is_listed || ["mod.rs", "tests.rs"].contains(&stem) {
            continue;
        }
        if let Some(other) = first.insert(stem, path) {
            violations.push(format!("{path}: {other} has that name, too"));
        }
    }
    violations
}

fn types(sources: &Sources) -> Vec<String> {
    let house = Crate::read(sources);
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    let mut violations = Vec::new();
    for (module, file) in &house.files {
        for item in &file.items {
            let ident = match item {
                Item::Enum(item) => &item.ident,
                Item::Struct(item) => &item.ident,
                Item::Trait(item) => &item.ident,
                Item::Type(item) => &item.ident,
                _ => continue,
            };
            let path = house.paths[module].as_str();
            // One file may say the same for several targets.
            if let Some(other) = first.insert(ident.to_string(), path)
                && other != path
            {
                violations.push(format!("{path}: {ident} is defined in {other}, too"));
            }
        }
    }
    violations
}

fn statics(sources: &Sources) -> Vec<String> {
    let house = Crate::read(sources);
    let is_listed = |name: &str| STATICS.iter().any(|(listed, _)| *listed == name);
    let mut violations = Vec::new();
    for (module, file) in &house.files {
        let path = house.paths[module].as_str();
        let mut statics = Statics::default();
        statics.visit_file(file);
        for name in statics.0 {
            let name = format!("{path}: {name}");
            if !is_listed(&name) {
                violations.push(format!("{name} is state of the process"));
            }
        }
    }
    violations
}

/// The statics of a file, in functions and inner modules, too.
#[derive(Default)]
struct Statics(Vec<String>);

impl<'ast> Visit<'ast> for Statics {
    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.0.push(item.ident.to_string());
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let is_local = |part: &syn::PathSegment| part.ident == "thread_local";
        if item.path.segments.last().is_some_and(is_local) {
            self.0.push("thread_local".to_owned());
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) {
            syn::visit::visit_item_fn(self, function);
        }
    }
}

#[track_caller]
fn holds(rule: fn(&Sources) -> Vec<String>, planted: &[(&str, &str)]) {
    let violations = rule(&tree());
    assert!(violations.is_empty(), "{}", violations.join("\n"));

    let sources: Sources = planted
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    let found = rule(&sources);
    assert!(!found.is_empty(), "not found: {planted:?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    holds(
        circles,
        &[
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a/mod.rs", "mod c; pub(crate) use c::C;"),
            (
                "src/a/c.rs",
                "use crate::b; pub(crate) struct C; fn f() { b::g() }",
            ),
            ("src/b.rs", "use crate::a::C; pub(crate) fn g() {}"),
        ],
    );
}

#[test]
fn folders_are_small() {
    let names: Vec<String> = (0..=FILES_MAX)
        .map(|number| format!("src/a/f{number}.rs"))
        .collect();
    let planted: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    holds(folders, &planted);
}

#[test]
fn a_name_is_used_once() {
    holds(stems, &[("src/a/door.rs", ""), ("src/b/door.rs", "")]);
    let state = "struct State;";
    holds(
        types,
        &[("src/lib.rs", ""), ("src/a.rs", state), ("src/b.rs", state)],
    );
}

#[test]
fn no_state_belongs_to_the_process() {
    let planted = "static COUNT: std::sync::Mutex<u32> = std::sync::Mutex::new(0);";
    holds(statics, &[("src/lib.rs", ""), ("src/a.rs", planted)]);
    // A file with one static that is listed has no right to a second one.
    holds(statics, &[("src/lib.rs", ""), ("src/clock.rs", planted)]);
    for hidden in [
        format!("fn f() {{ {planted} }}"),
        format!("impl A {{ fn f() {{ {planted} }} }}"),
        format!("mod inner {{ {planted} }}"),
        format!("thread_local! {{ {planted} }}"),
    ] {
        holds(statics, &[("src/lib.rs", ""), ("src/a.rs", &hidden)]);
    }
}
