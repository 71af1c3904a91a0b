// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Paths in commands that are printed to be copied into a shell.

use std::path::Path;

/// A path as one word of a POSIX shell; it is in quotes even where it would not need them.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\'', "'\\''");

    // A path that begins with a hyphen would be an option of the command.
    if text.starts_with('-') {
        format!("'./{text}'")
    } else {
        format!("'{text}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        let word = |path: &str| quoted(Path::new(path));
        assert_eq!(word("/srv/my models"), "'/srv/my models'");
        assert_eq!(word("it's; rm x"), "'it'\\''s; rm x'");
        assert_eq!(word("-R"), "'./-R'");
    }
}
