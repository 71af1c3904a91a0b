// SPDX-License-Identifier: Apache-2.0 OR MIT
//! ONNX: a model as a protocol buffer, in which tensors lie among the nodes that use them. Their numbers are
//! passed over.

use crate::formats::model_header::{
    DIMENSIONS_MAX, ModelHeader, TEXT_MAX, TensorFacts, bytes_of, elements,
};
use crate::formats::window::{ENDS, Flaw, Flawed, Window};

/// All writers begin with the first field, the version of the format.
pub(super) fn begins(start: &[u8]) -> bool {
    start.starts_with(b"\x08")
}

pub(super) fn read(window: &mut Window<'_>, header: &mut ModelHeader) -> Flawed<()> {
    let end = window.size();
    let mut walk = OnnxWalk { window, header };
    walk.message(Message::Model, end, 0)
}

struct OnnxWalk<'a, 'b> {
    window: &'a mut Window<'b>,
    header: &'a mut ModelHeader,
}

/// The messages that have tensors in them, or something else to tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    SparseTensor,
}

/// A field of a message.
struct OnnxField {
    number: u64,
    /// Of a number, itself.
    value: u64,
    end: u64,
    has_content: bool,
}

impl OnnxWalk<'_, '_> {
    fn message(&mut self, message: Message, end: u64, depth: u32) -> Flawed<()> {
        if depth > DEPTH_MAX {
            return Err(Flaw::Bounded("its graphs lie too deep in graphs"));
        }
        while self.window.at() < end {
            let field = self.field(end)?;
            self.take(message, &field, depth)?;
            self.window.seek(field.end)?;
        }
        Ok(())
    }

    /// What the numbers of fields mean is in the specification of ONNX (`onnx.proto`).
    fn take(&mut self, message: Message, field: &OnnxField, depth: u32) -> Flawed<()> {
        use Message::{Attribute, Function, Graph, Model, Node, SparseTensor};

        if !field.has_content {
            if message == Model && field.number == 1 {
                self.header.format = format!("ONNX {}", field.value);
            }
            return Ok(());
        }
        match (message, field.number) {
            (Model, 14) => self.pair(field.end),
            (Graph, 2) if depth == 1 => {
                let name = self.text(field.end)?;
                self.header.name = Some(name).filter(|name| !name.is_empty());
                Ok(())
            }
            (Graph, 5) | (Attribute, 5 | 10) | (SparseTensor, 1 | 2) => self.tensor(field.end),
            (Model, 7) | (Attribute, 6 | 11) => self.message(Graph, field.end, depth + 1),
            (Model, 25) => self.message(Function, field.end, depth + 1),
            (Graph, 1) | (Function, 7) => self.message(Node, field.end, depth + 1),
            (Graph, 15) | (Attribute, 22 | 23) => self.message(SparseTensor, field.end, depth + 1),
            (Node, 5) | (Function, 11) => self.message(Attribute, field.end, depth + 1),
            _ => Ok(()),
        }
    }

    fn pair(&mut self, end: u64) -> Flawed<()> {
        let (mut key, mut value) = (String::new(), String::new());
        while self.window.at() < end {
            let field = self.field(end)?;
            match field.number {
                1 if field.has_content => key = self.text(field.end)?,
                2 if field.has_content => value = self.text(field.end)?,
                _ => {}
            }
            self.window.seek(field.end)?;
        }
        self.header.say(&key, &value);
        Ok(())
    }

    fn tensor(&mut self, end: u64) -> Flawed<()> {
        let (mut name, mut shape, mut number, mut raw) = (String::new(), Vec::new(), 0, None);
        while self.window.at() < end {
            let field = self.field(end)?;
            match (field.number, field.has_content) {
                (1, false) => shape.push(field.value),
                (1, true) => {
                    while self.window.at() < field.end && shape.len() <= DIMENSIONS_MAX {
                        shape.push(self.number(field.end)?);
                    }
                }
                (2, false) => number = field.value,
                (8, true) => name = self.text(field.end)?,
                (9, true) => raw = Some(field.end - self.window.at()),
                _ => {}
            }
            if shape.len() > DIMENSIONS_MAX {
                return Err(Flaw::Damaged("a tensor has too many dimensions"));
            }
            self.window.seek(field.end)?;
        }

        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let known = TYPES.get(index).filter(|known| !known.0.is_empty());
        let Some((kind, bits)) = known else {
            let kind = format!("type {number}");
            return self
                .header
                .add(TensorFacts { name, kind, shape }, raw.unwrap_or(0));
        };
        let bytes = bytes_of(elements(&shape)?, *bits)?;
        // Of texts, nobody knows how long they are before they are read.
        if *bits > 0 && raw.is_some_and(|raw| raw != bytes) {
            return Err(Flaw::Damaged("a tensor is not as long as its shape says"));
        }
        let kind = (*kind).to_owned();
        self.header.add(TensorFacts { name, kind, shape }, bytes)
    }

    fn field(&mut self, end: u64) -> Flawed<OnnxField> {
        let tag = self.number(end)?;
        let (mut value, mut has_content) = (0, false);
        let length = match tag & 7 {
            0 => {
                value = self.number(end)?;
                0
            }
            1 => 8,
            2 => {
                has_content = true;
                self.number(end)?
            }
            5 => 4,
            _ => return Err(Flaw::Damaged("it has a field of a kind that is not known")),
        };
        let last = self.window.at().checked_add(length);
        Ok(OnnxField {
            number: tag >> 3,
            value,
            end: last.filter(|last| *last <= end).ok_or(OUTSIDE)?,
            has_content,
        })
    }

    /// A number of seven bits a byte.
    fn number(&mut self, end: u64) -> Flawed<u64> {
        let mut number = 0_u64;
        for place in 0..10 {
            if self.window.at() >= end {
                return Err(ENDS);
            }
            let byte = self.window.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Flaw::Damaged("it has a number that does not end"))
    }

    fn text(&mut self, end: u64) -> Flawed<String> {
        let text = self.window.text(end - self.window.at(), TEXT_MAX)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

const OUTSIDE: Flaw = Flaw::Damaged("a part of it is longer than the whole");

/// Graphs in loops and branches; each of them takes three steps.
const DEPTH_MAX: u32 = 48;

/// The types by their numbers, with their bits.
const TYPES: &[(&str, u64)] = &[
    ("", 0),
    ("F32", 32),
    ("U8", 8),
    ("I8", 8),
    ("U16", 16),
    ("I16", 16),
    ("I32", 32),
    ("I64", 64),
    ("text", 0),
    ("BOOL", 8),
    ("F16", 16),
    ("F64", 64),
    ("U32", 32),
    ("U64", 64),
    ("C64", 64),
    ("C128", 128),
    ("BF16", 16),
    ("F8_E4M3FN", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2", 8),
    ("F8_E5M2FNUZ", 8),
    ("U4", 4),
    ("I4", 4),
    ("F4_E2M1", 4),
    ("F8_E8M0", 8),
    ("U2", 2),
    ("I2", 2),
];
