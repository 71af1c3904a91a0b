// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pickles: programs whose opcodes make the values of a model, and which import whatever they name. Their
//! opcodes are read here and never run.

mod allowed_imports;
mod pickle_stack;
pub(super) mod pickled_file;

use crate::formats::model_header::ForeignImports;
use crate::formats::window::{ENDS, Flaw, Flawed, Window};
use allowed_imports::is_allowed;
use pickle_stack::{NAME_BYTES_MAX, PickleStack, PickleValue};

/// Reads one pickle to its last opcode, and notes what it imports.
fn scan(window: &mut Window<'_>, end: u64, imports: &mut ForeignImports) -> Flawed<()> {
    let stack = PickleStack::default();
    let mut pickle = Pickle {
        window,
        end,
        imports,
        stack,
    };
    while pickle.step()? == PickleStep::More {
        if pickle.window.at() > end {
            return Err(ENDS);
        }
    }
    Ok(())
}

struct Pickle<'a, 'b> {
    window: &'a mut Window<'b>,
    end: u64,
    imports: &'a mut ForeignImports,
    stack: PickleStack,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PickleStep {
    More,
    Stop,
}

impl Pickle<'_, '_> {
    fn step(&mut self) -> Flawed<PickleStep> {
        if self.window.at() >= self.end {
            return Err(ENDS);
        }
        let opcode = self.window.byte()?;
        match opcode {
            b'.' => {
                self.stack.pop()?;
                return Ok(PickleStep::Stop);
            }
            b'c' | b'i' | 0x82..=0x84 | 0x93 => self.import(opcode)?,
            b'p' | b'q' | b'r' | b'g' | b'h' | b'j' | 0x94 => self.memo(opcode)?,
            b'S' | b'V' | b'T' | b'U' | b'X' | 0x8c | 0x8d => self.text(opcode)?,
            _ if self.number(opcode)? => {}
            _ => self.shift(opcode)?,
        }
        Ok(PickleStep::More)
    }

    /// Numbers, bytes and constants, which are only passed over; whether it was one.
    fn number(&mut self, opcode: u8) -> Flawed<bool> {
        let bytes = match opcode {
            b'N' | b']' | b'}' | b')' | 0x88 | 0x89 | 0x8f | 0x97 => 0,
            b'K' => 1,
            b'M' => 2,
            b'J' => 4,
            b'G' => 8,
            0x8a | b'C' => self.window.number(1)?,
            // Python takes them for numbers with a sign: those of two gibibytes are none.
            0x8b => self.signed_length()?,
            b'B' => self.window.number(4)?,
            0x8e | 0x96 => self.window.number(8)?,
            b'F' | b'I' | b'L' | b'P' => {
                self.window.line(0)?;
                0
            }
            _ => return Ok(false),
        };
        self.window.skip(bytes)?;
        self.stack.push(PickleValue::Other)?;
        Ok(true)
    }

    fn text(&mut self, opcode: u8) -> Flawed<()> {
        let kept_max = NAME_BYTES_MAX as u64 + 1;
        let text = match opcode {
            b'S' | b'V' => {
                let line = self.window.line(NAME_BYTES_MAX + 3)?;
                // One in quotes is the text between them. What has a backslash in it is another text than it
                // seems, and no name.
                let bare = match &line[..] {
                    [b'\'' | b'"', bare @ .., b'\'' | b'"'] if opcode == b'S' => bare,
                    bare => bare,
                };
                return self.stack.push_text(bare);
            }
            b'T' => {
                let length = self.signed_length()?;
                self.window.text(length, kept_max)?
            }
            b'U' | 0x8c => {
                let length = self.window.number(1)?;
                self.window.text(length, kept_max)?
            }
            b'X' => {
                let length = self.window.number(4)?;
                self.window.text(length, kept_max)?
            }
            _ => {
                let length = self.window.number(8)?;
                self.window.text(length, kept_max)?
            }
        };
        self.stack.push_text(&text)
    }

    fn signed_length(&mut self) -> Flawed<u64> {
        let length = self.window.number(4)?;
        if length > 0x7fff_ffff {
            return Err(UNREADABLE);
        }
        Ok(length)
    }

    fn memo(&mut self, opcode: u8) -> Flawed<()> {
        let number = match opcode {
            b'q' | b'h' => self.window.number(1)?,
            b'r' | b'j' => self.window.number(4)?,
            0x94 => return self.stack.memoize(),
            _ => {
                let line = self.window.line(NUMBER_BYTES_MAX + 1)?;
                let number = std::str::from_utf8(&line).ok();
                let number = number.filter(|number| number.len() <= NUMBER_BYTES_MAX);
                // Python takes numbers that are written in other ways, too.
                let number = number.and_then(|number| number.parse().ok());
                number.ok_or(Flaw::Bounded("it numbers its values in an unusual way"))?
            }
        };
        match opcode {
            b'p' | b'q' | b'r' => self.stack.put(number),
            _ => self.stack.get(number),
        }
    }

    fn import(&mut self, opcode: u8) -> Flawed<()> {
        let (module, name) = match opcode {
            b'c' | b'i' => {
                let module = self.window.line(NAME_BYTES_MAX + 1)?;
                (Some(module), Some(self.window.line(NAME_BYTES_MAX + 1)?))
            }
            0x93 => {
                let (name, module) = (self.stack.pop()?, self.stack.pop()?);
                let owned = |value| self.stack.said(value).map(<[u8]>::to_vec);
                (owned(module), owned(name))
            }
            _ => {
                let bytes = match opcode {
                    0x82 => 1,
                    0x83 => 2,
                    _ => 4,
                };
                let number = self.window.number(bytes)?;
                self.imports.add(format!("extension {number}"));
                return self.stack.push(PickleValue::Other);
            }
        };

        match (&module, &name) {
            (Some(module), Some(name)) if is_allowed(module, name) => {}
            _ => self.imports.add(shown(module.as_deref(), name.as_deref())),
        }
        // Whatever follows, nobody should load it.
        if self.imports.count > IMPORTS_MAX {
            return Err(Flaw::Bounded("it imports too many things"));
        }
        if opcode == b'i' {
            self.stack.pop_to_mark()?;
        }
        self.stack.push(PickleValue::Other)
    }

    /// Opcodes that make one value of others.
    fn shift(&mut self, opcode: u8) -> Flawed<()> {
        let stack = &mut self.stack;
        match opcode {
            b'(' => stack.push(PickleValue::Mark),
            b'0' => stack.drop_top(),
            b'1' => stack.pop_to_mark(),
            b'2' => {
                let top = stack.top()?;
                stack.push(top)
            }
            b'Q' | 0x85 => stack.replace(1),
            b'R' | 0x81 | 0x86 => stack.replace(2),
            0x87 | 0x92 => stack.replace(3),
            // What they are added to stays as it is.
            b'a' | b'b' => stack.pop().and_then(|_| stack.top().map(drop)),
            b's' => {
                stack.pop()?;
                stack.pop().and_then(|_| stack.top().map(drop))
            }
            b'e' | b'u' | 0x90 => {
                stack.pop_to_mark()?;
                stack.top().map(drop)
            }
            b'd' | b'l' | b't' | b'o' | 0x91 => {
                stack.pop_to_mark()?;
                stack.push(PickleValue::Other)
            }
            0x80 => match self.window.byte()? {
                0..=PROTOCOL_MAX => Ok(()),
                _ => Err(UNREADABLE),
            },
            0x95 => self.window.skip(8),
            0x98 => stack.top().map(drop),
            _ => Err(UNREADABLE),
        }
    }
}

/// How an import is told to people, as Python writes it.
fn shown(module: Option<&[u8]>, name: Option<&[u8]>) -> String {
    let part = |part: Option<&[u8]>| match part {
        Some(part) => String::from_utf8_lossy(part).into_owned(),
        None => "?".to_owned(),
    };
    format!("{}.{}", part(module), part(name))
}

const UNREADABLE: Flaw = Flaw::Damaged("it has an opcode that no pickle has");

/// More of them take long and say no more.
const IMPORTS_MAX: u64 = 1000;

const PROTOCOL_MAX: u8 = 5;

/// A number of twenty digits is the largest one.
const NUMBER_BYTES_MAX: usize = 20;

#[cfg(test)]
mod tests;
