//! The protobuf wire format, and the few messages that JSON writes as a scalar.

use serde_json::{Value, json};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

impl Content<'_> {
    pub fn text(&self) -> Value {
        match self {
            Self::Bytes(bytes) => json!(String::from_utf8_lossy(bytes)),
            Self::Number(number) | Self::Fixed(number) => json!(number),
        }
    }
}

/// Reads the fields of a message one by one.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or("it ends within a number")?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number has more than 64 bits".to_owned())
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).ok().filter(|count| *count <= self.rest.len()).ok_or("it ends within a field")?;
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Content<'a>), String> {
        let tag = self.number()?;
        let content = match tag & 7 {
            0 => Content::Number(self.number()?),
            1 => Content::Fixed(self.take(8)?.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))),
            2 => {
                let length = self.number()?;
                Content::Bytes(self.take(length)?)
            }
            5 => Content::Fixed(self.take(4)?.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))),
            other => return Err(format!("wire type {other} is not known")),
        };
        Ok((tag >> 3, content))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u64, Content<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The one field of messages that wrap bytes or a text: `Quantity`, `FieldsV1`, `RawExtension`, `JSON`.
pub(super) fn inner(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    for field in Reader::new(bytes) {
        if let (1, Content::Bytes(content)) = field? {
            return Ok(Some(content));
        }
    }
    Ok(None)
}

/// `Time` and `MicroTime`; `None` for the time that is not set.
pub(super) fn time(bytes: &[u8], micro: bool) -> Result<Option<String>, String> {
    let (mut seconds, mut nanos) = (None, 0_i32);
    for field in Reader::new(bytes) {
        match field? {
            (1, Content::Number(number)) => seconds = Some(number.cast_signed()),
            (2, Content::Number(number)) => nanos = i32::try_from(number).map_err(|_| "a time has too many nanoseconds")?,
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(None) };
    let time = jiff::Timestamp::new(seconds, nanos).map_err(|cause| format!("a time is out of range: {cause}"))?;
    Ok(Some(if micro { format!("{time:.6}") } else { format!("{time:.0}") }))
}

/// `IntOrString`.
pub(super) fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number, mut text) = (false, json!(0), json!(""));
    for field in Reader::new(bytes) {
        match field? {
            (1, Content::Number(kind)) => is_text = kind == 1,
            (2, Content::Number(value)) => number = json!(value.cast_signed()),
            (3, content) => text = content.text(),
            _ => {}
        }
    }
    Ok(if is_text { text } else { number })
}
