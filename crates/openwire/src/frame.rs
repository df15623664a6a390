//! Frames: a length of four bytes, then that many bytes, of which the first is the command's type.

use crate::WireError;

/// The largest frame that is accepted or produced, counted without its length field.
pub const FRAME_BYTES_MAX: usize = 65_536;

const LENGTH_BYTES: usize = 4;

/// Cuts a stream of bytes into frames. Holds at most one frame and what came after it in the same read.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    pending: Vec<u8>,
}

impl Frames {
    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole frame without its length field, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// [`WireError::FrameTooLarge`] or [`WireError::FrameEmpty`]; the stream cannot be read on after that.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let Some(length) = self.pending.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*length);
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(WireError::FrameTooLarge { announced: u64::from(announced), limit: FRAME_BYTES_MAX });
        }
        if length == 0 {
            return Err(WireError::FrameEmpty);
        }
        if self.pending.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        let frame = self.pending[LENGTH_BYTES..LENGTH_BYTES + length].to_vec();
        self.pending.drain(..LENGTH_BYTES + length);
        Ok(Some(frame))
    }
}

/// Puts the length in front of a frame.
pub(crate) fn with_length(frame: Vec<u8>) -> Result<Vec<u8>, WireError> {
    let length = u32::try_from(frame.len()).ok().filter(|_| frame.len() <= FRAME_BYTES_MAX);
    let length = length.ok_or(WireError::TooLong { field: "the frame" })?;
    let mut bytes = Vec::with_capacity(LENGTH_BYTES + frame.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend(frame);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_comes_out_once_its_last_byte_is_there() {
        let mut frames = Frames::default();
        for byte in [0, 0, 0, 2, 10] {
            frames.push(&[byte]);
            assert_eq!(frames.next_frame().unwrap(), None);
        }
        frames.push(&[7, 0, 0]);
        assert_eq!(frames.next_frame().unwrap(), Some(vec![10, 7]));
        assert_eq!(frames.next_frame().unwrap(), None);
    }

    #[test]
    fn the_answer_of_another_protocol_is_too_large_a_frame() {
        let mut frames = Frames::default();
        frames.push(b"HTTP/1.1 400 Bad Request");
        assert_eq!(
            frames.next_frame(),
            Err(WireError::FrameTooLarge { announced: 0x4854_5450, limit: FRAME_BYTES_MAX })
        );
    }

    #[test]
    fn an_empty_frame_is_an_error() {
        let mut frames = Frames::default();
        frames.push(&[0; 4]);
        assert_eq!(frames.next_frame(), Err(WireError::FrameEmpty));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            cut in 1_usize..50,
        ) {
            let stream: Vec<u8> = sent.iter().flat_map(|frame| with_length(frame.clone()).unwrap()).collect();
            let mut frames = Frames::default();
            let mut received = vec![];
            for piece in stream.chunks(cut) {
                frames.push(piece);
                while let Some(frame) = frames.next_frame().unwrap() {
                    received.push(frame);
                }
            }
            prop_assert_eq!(received, sent);
        }
    }
}
