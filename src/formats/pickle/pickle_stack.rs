// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What lies on the stack of a pickle, as far as it matters which texts a later import takes from there.

use std::collections::BTreeMap;

use crate::formats::pickle::allowed_imports::words;
use crate::formats::window::{Flaw, Flawed};

/// A value on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PickleValue {
    Mark,
    /// Whatever it is, no module and no name.
    Other,
    /// A text that was kept.
    Text(u32),
    /// A text that was not kept.
    LongText,
}

#[derive(Default)]
pub(super) struct PickleStack {
    values: Vec<PickleValue>,
    /// Texts by their numbers, and what was put away. A value that is not there is none that was kept.
    texts: Vec<Vec<u8>>,
    numbers: BTreeMap<Vec<u8>, u32>,
    memo: BTreeMap<u64, u32>,
    text_bytes: usize,
    /// Whether no further text is kept.
    is_full: bool,
    /// How many values were put away by the opcode that numbers them itself.
    memoized: u64,
    has_numbered: bool,
}

impl PickleStack {
    pub(super) fn push(&mut self, value: PickleValue) -> Flawed<()> {
        if self.values.len() >= VALUES_MAX {
            return Err(Flaw::Bounded("it has too many values at one time"));
        }
        self.values.push(value);
        Ok(())
    }

    pub(super) fn push_text(&mut self, text: &[u8]) -> Flawed<()> {
        let value = self.kept(text);
        self.push(value)
    }

    pub(super) fn pop(&mut self) -> Flawed<PickleValue> {
        match self.values.pop() {
            Some(PickleValue::Mark) | None => Err(UNDERFLOW),
            Some(value) => Ok(value),
        }
    }

    /// Takes so many values away and puts another one there.
    pub(super) fn replace(&mut self, count: usize) -> Flawed<()> {
        for _ in 0..count {
            self.pop()?;
        }
        self.push(PickleValue::Other)
    }

    /// The topmost value or mark goes.
    pub(super) fn drop_top(&mut self) -> Flawed<()> {
        self.values.pop().map(drop).ok_or(UNDERFLOW)
    }

    pub(super) fn pop_to_mark(&mut self) -> Flawed<()> {
        let mark = self
            .values
            .iter()
            .rposition(|value| *value == PickleValue::Mark);
        self.values.truncate(mark.ok_or(UNDERFLOW)?);
        Ok(())
    }

    pub(super) fn top(&self) -> Flawed<PickleValue> {
        match self.values.last() {
            Some(PickleValue::Mark) | None => Err(UNDERFLOW),
            Some(value) => Ok(*value),
        }
    }

    /// What a text on the stack says; `None` if it is none that can name anything.
    pub(super) fn said(&self, value: PickleValue) -> Option<&[u8]> {
        match value {
            PickleValue::Text(number) => {
                let text = self.texts.get(usize::try_from(number).ok()?)?;
                Some(text)
            }
            _ => None,
        }
    }

    /// Puts the topmost value away under a number.
    pub(super) fn put(&mut self, number: u64) -> Flawed<()> {
        self.has_numbered = true;
        self.keep(number)
    }

    /// Puts the topmost value away under the next number.
    pub(super) fn memoize(&mut self) -> Flawed<()> {
        self.memoized += 1;
        self.keep(self.memoized - 1)
    }

    /// Brings back what was put away.
    pub(super) fn get(&mut self, number: u64) -> Flawed<()> {
        let found = self.memo.get(&number).copied();
        self.push(found.map_or(PickleValue::LongText, PickleValue::Text))
    }

    fn keep(&mut self, number: u64) -> Flawed<()> {
        // The next number is that of all values that were put away, which are not counted here.
        if self.has_numbered && self.memoized > 0 {
            return Err(Flaw::Bounded("it numbers its values in two ways"));
        }
        match self.top()? {
            PickleValue::Text(text) if self.memo.len() < MEMO_MAX => {
                self.memo.insert(number, text);
            }
            _ => {
                self.memo.remove(&number);
            }
        }
        Ok(())
    }

    /// Keeps a text that can be the name of a module or of something in it.
    fn kept(&mut self, text: &[u8]) -> PickleValue {
        if let Some(number) = self.numbers.get(text) {
            return PickleValue::Text(*number);
        }
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._".contains(byte);
        if text.len() > NAME_BYTES_MAX || !text.iter().all(is_name) {
            return PickleValue::LongText;
        }
        if self.is_full {
            return PickleValue::LongText;
        }

        let value = self.add(text);
        if self.text_bytes > TEXT_BYTES_MAX {
            self.is_full = true;
            // Those that are allowed always find room.
            for word in words() {
                if !self.numbers.contains_key(word.as_bytes()) {
                    self.add(word.as_bytes());
                }
            }
        }
        value
    }

    fn add(&mut self, text: &[u8]) -> PickleValue {
        self.text_bytes += text.len() + 64;
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_vec());
        self.numbers.insert(text.to_vec(), number);
        PickleValue::Text(number)
    }
}

const UNDERFLOW: Flaw = Flaw::Damaged("it takes what is not there");

/// Tuples and sets are on the stack as a whole: so many values take 8 MiB.
const VALUES_MAX: usize = 1 << 20;

/// Texts that are kept, and what is put away of them: 1 MiB and some more. Who has more of them may import
/// what is allowed, and is not told by name what is not.
const TEXT_BYTES_MAX: usize = 1 << 20;
const MEMO_MAX: usize = 1 << 16;

/// No module and no name that is known comes close.
pub(super) const NAME_BYTES_MAX: usize = 256;
