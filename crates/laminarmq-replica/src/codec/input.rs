//! Reading values off the front of a shared buffer that may be too short.

use bytes::{Buf, Bytes};

use super::CodecError;
use crate::wire::Cursor;
use crate::{LogIndex, LogPoint, Membership, MembershipError, Term};

/// A buffer that is consumed from the front.
pub(super) struct Input<'a>(pub(super) &'a mut Bytes);

impl Input<'_> {
    pub(super) fn remaining(&self) -> usize {
        self.0.len()
    }

    pub(super) fn u8(&mut self) -> Result<u8, CodecError> {
        self.0.try_get_u8().map_err(|_| CodecError::Short)
    }

    pub(super) fn u32(&mut self) -> Result<u32, CodecError> {
        self.0.try_get_u32_le().map_err(|_| CodecError::Short)
    }

    pub(super) fn u64(&mut self) -> Result<u64, CodecError> {
        self.0.try_get_u64_le().map_err(|_| CodecError::Short)
    }

    /// One byte, 0 or 1.
    pub(super) fn bool(&mut self, what: &'static str) -> Result<bool, CodecError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(CodecError::Unknown { what, value }),
        }
    }

    /// The next `count` bytes, shared.
    pub(super) fn slice(&mut self, count: u32) -> Result<Bytes, CodecError> {
        let count = count as usize;
        if count > self.0.len() {
            return Err(CodecError::Short);
        }
        Ok(self.0.split_to(count))
    }

    pub(super) fn term(&mut self) -> Result<Term, CodecError> {
        self.u32().map(Term)
    }

    pub(super) fn index(&mut self) -> Result<LogIndex, CodecError> {
        self.u64().map(LogIndex)
    }

    pub(super) fn point(&mut self) -> Result<LogPoint, CodecError> {
        Ok(LogPoint {
            index: self.index()?,
            term: self.term()?,
        })
    }

    /// In its own encoding, checked.
    pub(super) fn members(&mut self) -> Result<Membership, CodecError> {
        let mut cursor = Cursor::new(self.0);
        let members = Membership::decode(&mut cursor).map_err(|error| match error {
            MembershipError::Short => CodecError::Short,
            other => CodecError::Members(other),
        })?;
        let rest = cursor.remaining();
        self.0.advance(self.0.len() - rest);
        Ok(members)
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    pub(super) fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if bits > u64::MAX >> shift {
                return Err(CodecError::Number);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // A last byte of zero says nothing: there is a shorter form.
                return if byte == 0 && shift > 0 {
                    Err(CodecError::Number)
                } else {
                    Ok(value)
                };
            }
        }
        Err(CodecError::Number)
    }
}
