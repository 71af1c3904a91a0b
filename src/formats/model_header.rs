// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a file of a model says of itself before its weights.

use std::collections::BTreeMap;

use crate::formats::window::{Flaw, Flawed};

/// What was read of a header. All tensors are counted, and the first of them kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelHeader {
    /// The format, with its version where that says something.
    pub(crate) format: String,
    pub(crate) tensors: u64,
    /// Numbers in all tensors.
    pub(crate) parameters: u64,
    /// Bytes of all tensors, as they lie in memory.
    pub(crate) bytes: u64,
    /// How many tensors have which type.
    pub(crate) types: BTreeMap<String, u64>,
    pub(crate) first: Vec<TensorFacts>,
    pub(crate) name: Option<String>,
    pub(crate) architecture: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) quantization: Option<String>,
    pub(crate) context_length: Option<u64>,
    /// What a pickle imports, if it is one.
    pub(crate) imports: Option<ForeignImports>,
    /// Why not all of it was read.
    pub(crate) flaw: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorFacts {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) shape: Vec<u64>,
}

/// What pickles import that is not known to be harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForeignImports {
    /// The first of them.
    pub(crate) names: Vec<String>,
    pub(crate) count: u64,
    /// Why nobody can say what else it imports.
    pub(crate) obscured: Option<&'static str>,
}

impl ForeignImports {
    pub(crate) fn add(&mut self, name: String) {
        self.count += 1;
        if self.names.len() < NAMES_MAX && !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// Whether nothing of it can do more than to make numbers and texts.
    pub(crate) fn is_harmless(&self) -> bool {
        self.count == 0 && self.obscured.is_none()
    }
}

impl ModelHeader {
    pub(crate) fn of(format: impl Into<String>) -> Self {
        Self {
            format: format.into(),
            ..Self::default()
        }
    }

    /// Counts a tensor, which has so many bytes.
    pub(crate) fn add(&mut self, tensor: TensorFacts, bytes: u64) -> Flawed<()> {
        let more = elements(&tensor.shape)?;
        self.tensors += 1;
        self.parameters = self.parameters.checked_add(more).ok_or(TOO_MANY)?;
        self.bytes = self.bytes.checked_add(bytes).ok_or(TOO_MANY)?;

        let kinds = self.types.len();
        if let Some(count) = self.types.get_mut(&tensor.kind) {
            *count += 1;
        } else if kinds < KINDS_MAX {
            self.types.insert(tensor.kind.clone(), 1);
        }
        if self.first.len() < FIRST_MAX {
            self.first.push(tensor);
        }
        Ok(())
    }

    /// Takes a text under a key that several formats use for it.
    pub(crate) fn say(&mut self, key: &str, value: &str) {
        let key = key.rsplit('.').next().unwrap_or_default();
        let said = match key.to_ascii_lowercase().as_str() {
            "license" | "licence" => &mut self.license,
            _ => return,
        };
        said.get_or_insert_with(|| value.to_owned());
    }
}

/// How many numbers a tensor of this shape has.
pub(crate) fn elements(shape: &[u64]) -> Flawed<u64> {
    let product = shape
        .iter()
        .try_fold(1_u64, |product, dimension| product.checked_mul(*dimension));
    // A dimension of zero makes the others meaningless, also where their product is too large.
    if shape.contains(&0) {
        Ok(0)
    } else {
        product.ok_or(TOO_MANY)
    }
}

/// How many bytes so many elements take, if each has so many bits.
pub(crate) fn bytes_of(elements: u64, bits: u64) -> Flawed<u64> {
    let bits = elements.checked_mul(bits).ok_or(TOO_MANY)?;
    Ok(bits.div_ceil(8))
}

pub(crate) const TOO_MANY: Flaw = Flaw::Damaged("it tells of more numbers than fit any device");

/// Tensors that are kept, types that are told apart, imports that are named: as much as a reader takes in. A
/// hostile file could tell of millions.
const FIRST_MAX: usize = 200;
const KINDS_MAX: usize = 64;
const NAMES_MAX: usize = 16;

/// The most dimensions that any format knows (NumPy).
pub(crate) const DIMENSIONS_MAX: usize = 64;

/// Bytes of names and other texts that are kept.
pub(crate) const TEXT_MAX: u64 = 256;
