//! The primitives of the groups' encoding: little-endian numbers, counted texts and bytes.
//!
//! ```text
//! text     u16 length, UTF-8          bytes    u32 length, bytes
//! option   u8 0, or u8 1 and the value
//! list     u32 count, elements: each takes a byte at least
//! id       16 bytes
//! ```

use super::command::CommandError;
use bytes::Bytes;

/// Appends to what is to be written.
#[derive(Debug, Default)]
pub(super) struct Encoder(pub(super) Vec<u8>);

impl Encoder {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        let length = u16::try_from(text.len()).expect("texts are checked when they come in");
        self.0.extend_from_slice(&length.to_le_bytes());
        self.raw(text.as_bytes());
    }

    pub(super) fn option(&mut self, text: Option<&str>) {
        match text {
            None => self.u8(0),
            Some(text) => {
                self.u8(1);
                self.text(text);
            }
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    pub(super) fn list<T>(
        &mut self,
        elements: impl ExactSizeIterator<Item = T>,
        mut element: impl FnMut(&mut Self, T),
    ) {
        self.count(elements.len());
        elements.for_each(|one| element(self, one));
    }

    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("a command is far below 4 GiB"));
    }
}

/// Takes values off bytes that may be anything.
#[derive(Debug)]
pub(super) struct Decoder<'a>(pub(super) &'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], CommandError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CommandError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CommandError> {
        Ok(self
            .take(N)?
            .try_into()
            .expect("take gives as many bytes as asked"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, CommandError> {
        let [value] = self.array()?;
        Ok(value)
    }

    pub(super) fn u32(&mut self) -> Result<u32, CommandError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, CommandError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, CommandError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, CommandError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(super) fn text(&mut self) -> Result<String, CommandError> {
        let length = u16::from_le_bytes(self.array()?);
        let text = std::str::from_utf8(self.take(length.into())?);
        text.map(str::to_owned).map_err(|_| CommandError::Text)
    }

    pub(super) fn option(&mut self) -> Result<Option<String>, CommandError> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            other => Err(CommandError::Option(other)),
        }
    }

    /// A copy: what is kept of a command keeps no segment's buffer.
    pub(super) fn bytes(&mut self) -> Result<Bytes, CommandError> {
        let length = self.u32()?;
        let length = usize::try_from(length).map_err(|_| CommandError::Short)?;
        Ok(Bytes::copy_from_slice(self.take(length)?))
    }

    /// Elements until the count is reached. Each takes at least a byte, so a wrong count runs into the
    /// end of the bytes before it costs more memory than they do.
    pub(super) fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, CommandError>,
    ) -> Result<Vec<T>, CommandError> {
        let count = self.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    pub(super) fn end(&self) -> Result<(), CommandError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(CommandError::Long(self.0.len()))
        }
    }
}
