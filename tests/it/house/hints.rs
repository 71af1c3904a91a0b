// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What errors advise: people at a command line get no words of HTTP.

use syn::visit::Visit;

use crate::house::tidy::{Sources, tree};

#[test]
fn words_of_http_come_behind_a_mark_that_the_client_knows() {
    assert_eq!(misplaced(&tree()), [""; 0]);

    for bad in [
        "DELETE one of them",
        "finish it; or send PUT /v1/models/NAME",
        "use If-Match; in HTTP: or not",
        "ask with ?keep=N",
    ] {
        assert_eq!(misplaced(&planted(bad)).len(), 1, "{bad}");
    }
    for good in [
        "remove one of them; in HTTP: DELETE one of them",
        "in HTTP: use If-Match",
        "use --if-match, or set it to a number",
    ] {
        assert_eq!(misplaced(&planted(good)), [""; 0]);
    }
    let formatted = "fn f() { e.hint(format!(\"PUT {name}\")) }".to_owned();
    let formatted = Sources::from([("src/a.rs".to_owned(), formatted)]);
    assert_eq!(misplaced(&formatted).len(), 1);
}

fn planted(hint: &str) -> Sources {
    let text = format!("fn f() {{ error.hint(\"{hint}\") }}");
    Sources::from([("src/a.rs".to_owned(), text)])
}

fn misplaced(sources: &Sources) -> Vec<String> {
    let mut violations = Vec::new();
    for (path, text) in sources {
        if !path.starts_with("src/") || !path.ends_with(".rs") {
            continue;
        }
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut hints = Hints::default();
        hints.visit_file(&file);
        let misplaced = hints.0.into_iter().filter(|hint| speaks_http(hint));
        violations.extend(misplaced.map(|hint| format!("{path}: {hint}")));
    }
    violations
}

/// Whether there are words of HTTP in front of the mark.
fn speaks_http(hint: &str) -> bool {
    let plain = hint.split("in HTTP: ").next().unwrap_or_default();
    let mut words = plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let is_method = |word: &str| METHODS.contains(&word);
    let is_field = |word: &str| FIELDS.iter().any(|field| word.starts_with(field));
    let mut queries = plain.split('?').skip(1);
    let is_query = |rest: &str| {
        rest.split([' ', '&'])
            .next()
            .is_some_and(|word| word.contains('='))
    };
    plain.contains("/v1/")
        || queries.any(is_query)
        || words.any(|word| is_method(word) || is_field(word))
}

const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"];

const FIELDS: &[&str] = &["Content-", "If-Match", "If-None-Match", "Upload-"];

/// The texts that are given to errors as hints.
#[derive(Default)]
struct Hints(Vec<String>);

impl<'ast> Visit<'ast> for Hints {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "hint" {
            let mut texts = Texts::default();
            call.args.iter().for_each(|part| texts.visit_expr(part));
            self.0.extend(texts.0);
        }
        syn::visit::visit_expr_method_call(self, call);
    }
}

#[derive(Default)]
struct Texts(Vec<String>);

impl<'ast> Visit<'ast> for Texts {
    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.0.push(text.value());
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let first = item.tokens.clone().into_iter().next();
        let text = first.and_then(|token| syn::parse_str::<syn::LitStr>(&token.to_string()).ok());
        self.0.extend(text.map(|text| text.value()));
    }
}
