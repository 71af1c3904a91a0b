// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is shown to somebody who sits at a terminal.

use crate::support::process::{Place, has_tool};
use crate::support::terminal::Terminal;

#[test]
fn a_password_is_not_shown_and_the_terminal_is_as_before() {
    if !has_tool("setsid") {
        return;
    }
    let place = Place::new();
    let mut terminal = Terminal::start(&place.skep(&["passwd"]), 80);
    terminal.asks("new password: ");
    terminal.types("five words of mine x\u{7f}\r");
    terminal.asks("the same again: ");
    terminal.types("five words of mine \r");
    let (code, echoes, screen) = terminal.ends();
    assert_eq!((code, echoes), (0, true), "{screen}");
    assert!(
        screen.contains("the password is set") && !screen.contains("words"),
        "{screen}"
    );
    assert!(place.home().join("password.argon2").exists());
}

#[test]
fn ctrl_c_at_either_question_leaves_a_terminal_that_echoes() {
    if !has_tool("setsid") {
        return;
    }
    for answered in [0, 1] {
        let place = Place::new();
        let mut terminal = Terminal::start(&place.skep(&["passwd"]), 80);
        terminal.asks("new password: ");
        if answered == 1 {
            terminal.types("five words of mine\r");
            terminal.asks("the same again: ");
        }
        terminal.types("fi\u{3}");
        let (code, echoes, screen) = terminal.ends();
        assert_eq!((code, echoes), (130, true), "{screen}");
        assert!(screen.contains("nothing was changed"), "{screen}");
        assert!(!place.home().join("password.argon2").exists());
    }
}
