// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Values as JSON and Python write them: texts, whole numbers, lists and what has keys. Both are read by one
//! reader, which builds nothing.

use crate::formats::model_header::{DIMENSIONS_MAX, TEXT_MAX};
use crate::formats::window::{Flaw, Flawed, Window};

/// A part of a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LiteralToken {
    Text(String),
    Number(u64),
    /// `true`, `None` and others.
    Word,
    /// A bracket, a comma or a colon.
    Sign(u8),
}

/// Reads tokens up to an offset.
pub(super) struct Literal<'a, 'b> {
    window: &'a mut Window<'b>,
    end: u64,
}

impl<'a, 'b> Literal<'a, 'b> {
    pub(super) fn new(window: &'a mut Window<'b>, end: u64) -> Self {
        Self { window, end }
    }

    pub(super) fn next(&mut self) -> Flawed<LiteralToken> {
        while matches!(self.peek()?, b' ' | b'\n' | b'\r' | b'\t') {
            self.byte()?;
        }
        match self.byte()? {
            quote @ (b'"' | b'\'') => self.text_until(quote).map(LiteralToken::Text),
            digit @ b'0'..=b'9' => self.number_from(digit).map(LiteralToken::Number),
            sign @ (b'{' | b'}' | b'[' | b']' | b'(' | b')' | b',' | b':') => {
                Ok(LiteralToken::Sign(sign))
            }
            letter if letter.is_ascii_alphabetic() => {
                while self.peek()?.is_ascii_alphabetic() {
                    self.byte()?;
                }
                Ok(LiteralToken::Word)
            }
            _ => Err(UNREADABLE),
        }
    }

    pub(super) fn expect(&mut self, sign: u8) -> Flawed<()> {
        match self.next()? {
            LiteralToken::Sign(found) if found == sign => Ok(()),
            _ => Err(UNREADABLE),
        }
    }

    pub(super) fn text(&mut self) -> Flawed<String> {
        match self.next()? {
            LiteralToken::Text(text) => Ok(text),
            _ => Err(UNREADABLE),
        }
    }

    /// The next key of what has keys, with the colon behind it; `None` at its end. A comma before the key is
    /// taken, too.
    pub(super) fn key(&mut self) -> Flawed<Option<String>> {
        let mut token = self.next()?;
        if token == LiteralToken::Sign(b',') {
            token = self.next()?;
        }
        match token {
            LiteralToken::Sign(b'}') => Ok(None),
            LiteralToken::Text(key) => self.expect(b':').map(|()| Some(key)),
            _ => Err(UNREADABLE),
        }
    }

    /// A list of whole numbers between these brackets.
    pub(super) fn numbers(&mut self, open: u8, close: u8) -> Flawed<Vec<u64>> {
        self.expect(open)?;
        let mut numbers = Vec::new();
        loop {
            match self.next()? {
                LiteralToken::Number(number) if numbers.len() < DIMENSIONS_MAX => {
                    numbers.push(number)
                }
                LiteralToken::Sign(sign) if sign == close => return Ok(numbers),
                LiteralToken::Sign(b',') => {}
                _ => return Err(UNREADABLE),
            }
        }
    }

    /// Passes over a value of any kind, of which the first token is known.
    pub(super) fn pass(&mut self, first: &LiteralToken) -> Flawed<()> {
        let mut depth = 0_u32;
        let mut token = first.clone();
        loop {
            match token {
                LiteralToken::Sign(b'{' | b'[' | b'(') => depth += 1,
                LiteralToken::Sign(b'}' | b']' | b')') => {
                    depth = depth.checked_sub(1).ok_or(UNREADABLE)?;
                }
                LiteralToken::Sign(_) if depth == 0 => return Err(UNREADABLE),
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
            token = self.next()?;
        }
    }

    fn number_from(&mut self, digit: u8) -> Flawed<u64> {
        let mut number = u64::from(digit - b'0');
        while let digit @ b'0'..=b'9' = self.peek()? {
            self.byte()?;
            let more = u64::from(digit - b'0');
            let larger = number.checked_mul(10).and_then(|ten| ten.checked_add(more));
            number = larger.ok_or(UNREADABLE)?;
        }
        Ok(number)
    }

    fn text_until(&mut self, quote: u8) -> Flawed<String> {
        let mut text = Vec::new();
        loop {
            let mut byte = self.byte()?;
            if byte == quote {
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
            if byte == b'\\' {
                byte = match self.byte()? {
                    b'u' => {
                        self.window.skip(4)?;
                        // It is for people, who see that a character stands there.
                        b'?'
                    }
                    b'n' | b't' | b'r' | b'b' | b'f' => b' ',
                    itself => itself,
                };
            }
            if (text.len() as u64) < TEXT_MAX {
                text.push(byte);
            }
        }
    }

    fn peek(&mut self) -> Flawed<u8> {
        if self.window.at() >= self.end {
            return Err(UNREADABLE);
        }
        self.window.peek()
    }

    fn byte(&mut self) -> Flawed<u8> {
        let byte = self.peek()?;
        self.window.skip(1)?;
        Ok(byte)
    }
}

const UNREADABLE: Flaw = Flaw::Damaged("its header cannot be read");
