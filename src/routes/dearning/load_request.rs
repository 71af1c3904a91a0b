// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a load asks for. It is read before anybody knows who asks, so nothing of it takes more memory than
//! its text, and what is not needed is skipped.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The members of the object that count.
pub(crate) struct LoadRequest {
    pub(crate) is_empty: bool,
    pub(crate) password: Option<Scalar>,
    pub(crate) filename: Option<Scalar>,
    pub(crate) filenames: Option<Names>,
}

/// A text, or a number, which dearning's own example takes for a password.
pub(crate) enum Scalar {
    Text(String),
    Other,
}

/// The names that are asked for; empty ones are left out.
pub(crate) enum Names {
    List(Vec<String>),
    Null,
    Other,
}

impl LoadRequest {
    /// The names, for the log.
    pub(crate) fn asked_for(&self) -> String {
        let several = match &self.filenames {
            Some(Names::List(names)) => names.as_slice(),
            _ => &[],
        };
        let single = match &self.filename {
            Some(Scalar::Text(name)) => Some(name),
            _ => None,
        };
        // The log keeps no more than a part of it.
        let names = several.iter().chain(single).take(LOGGED_NAMES);
        names.map(String::as_str).collect::<Vec<_>>().join(",")
    }
}

impl<'de> Deserialize<'de> for LoadRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = LoadRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// A member that comes twice replaces the earlier one, as in Python.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<LoadRequest, A::Error> {
        let mut read = LoadRequest {
            is_empty: true,
            password: None,
            filename: None,
            filenames: None,
        };

        while let Some(key) = members.next_key::<String>()? {
            read.is_empty = false;
            match key.as_str() {
                "password" => read.password = Some(members.next_value::<NumberOrText>()?.0),
                "filename" => read.filename = Some(members.next_value()?),
                "filenames" => read.filenames = Some(members.next_value()?),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }

        Ok(read)
    }
}

/// A scalar whose number counts as its text.
struct NumberOrText(Scalar);

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(ScalarVisitor {
            takes_numbers: true,
        });
        text.map(Self)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor {
            takes_numbers: false,
        })
    }
}

struct ScalarVisitor {
    takes_numbers: bool,
}

impl ScalarVisitor {
    fn number(&self, text: String) -> Scalar {
        if self.takes_numbers {
            Scalar::Text(text)
        } else {
            Scalar::Other
        }
    }
}

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(self.number(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(self.number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        // Written as JSON has it: 1.0, not 1.
        Ok(self.number(serde_json::Value::from(number).to_string()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Scalar, A::Error> {
        skip_items(items).map(|()| Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Scalar, A::Error> {
        skip_members(members).map(|()| Scalar::Other)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        let mut is_list = true;
        while let Some(item) = items.next_element::<Scalar>()? {
            match item {
                // The route refuses more, and so many do no harm.
                Scalar::Text(name) if names.len() <= NAMES_KEPT_MAX && !name.is_empty() => {
                    names.push(name);
                }
                Scalar::Text(_) => {}
                Scalar::Other => is_list = false,
            }
        }
        Ok(if is_list {
            Names::List(names)
        } else {
            Names::Other
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Names, A::Error> {
        skip_members(members).map(|()| Names::Other)
    }

    fn visit_unit<E>(self) -> Result<Names, E> {
        Ok(Names::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Names, E> {
        Ok(Names::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Names, E> {
        Ok(Names::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Names, E> {
        Ok(Names::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Names, E> {
        Ok(Names::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Names, E> {
        Ok(Names::Other)
    }
}

fn skip_items<'de, A: SeqAccess<'de>>(mut items: A) -> Result<(), A::Error> {
    while items.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_members<'de, A: MapAccess<'de>>(mut members: A) -> Result<(), A::Error> {
    while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// One more than a request may have.
const NAMES_KEPT_MAX: usize = 1000;

/// Of names that the log shows.
const LOGGED_NAMES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> LoadRequest {
        serde_json::from_str(text).unwrap()
    }

    fn text(scalar: Option<Scalar>) -> Option<String> {
        match scalar {
            Some(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn passwords_may_be_numbers() {
        for (written, password) in [
            ("\"a\"", "a"),
            ("4321", "4321"),
            ("-1", "-1"),
            ("1.0", "1.0"),
        ] {
            let read = read(&format!("{{\"password\": {written}, \"filename\": 7}}"));
            assert_eq!(text(read.password).as_deref(), Some(password));
            assert_eq!(text(read.filename), None);
        }
        for other in ["null", "true", "[1]", "{\"a\": [{}]}"] {
            let read = read(&format!("{{\"password\": {other}}}"));
            assert!(matches!(read.password, Some(Scalar::Other)), "{other}");
        }
    }

    #[test]
    fn what_is_not_asked_for_is_skipped_and_names_are_bounded() {
        let nested = format!(
            "{{\"a\": [{}], \"filenames\": [\"x\", \"\", \"y\"]}}",
            "{},".repeat(9) + "{}"
        );
        let read = read(&nested);
        assert!(!read.is_empty && read.password.is_none());
        assert_eq!(read.asked_for(), "x,y");
        assert!(self::read("{}").is_empty);
        assert!(serde_json::from_str::<LoadRequest>("[]").is_err());

        let many = format!("{{\"filenames\": [{}\"z\"]}}", "\"z\",".repeat(5000));
        match self::read(&many).filenames {
            Some(Names::List(names)) => assert_eq!(names.len(), NAMES_KEPT_MAX + 1),
            _ => panic!("no list"),
        }
        for (other, is_null) in [
            ("null", true),
            ("\"x\"", false),
            ("[1]", false),
            ("{}", false),
        ] {
            let names = self::read(&format!("{{\"filenames\": {other}}}"))
                .filenames
                .unwrap();
            assert_eq!(matches!(names, Names::Null), is_null);
            assert_eq!(matches!(names, Names::Other), !is_null);
        }
    }
}
