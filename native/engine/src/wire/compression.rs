//! Unpacking request bodies within a limit: no body makes more memory than its request may take.

use std::borrow::Cow;
use std::io::Read;

use crate::error::{Error, ErrorCode, Result};

/// How a body is compressed, from `Content-Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEncoding {
    /// Not at all.
    Identity,
    /// Snappy's block format, without framing: what remote_write means by `snappy`.
    Snappy,
    /// Zstandard, one frame or several.
    Zstd,
}

/// The most bytes that one byte of a snappy block can make: a copy of 64 takes three.
const SNAPPY_RATIO_MAX: usize = 22;
/// The smallest window that a zstd decoder should accept: 2^23 bytes. Source: RFC 8878, §3.1.1.1.2.
const ZSTD_WINDOW_LOG_MIN: u32 = 23;
/// The largest window of the format: 2^31 bytes is where zstd's own decoder ends.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// Unpacks `body`, which may make `max_bytes` at most.
///
/// # Errors
/// `too_large` with got and want, for snappy and most zstd bodies before anything is unpacked, else
/// where the limit is reached; `bad_data` for an empty body and for one that is not of `encoding`.
pub fn decompress(encoding: BodyEncoding, body: &[u8], max_bytes: usize) -> Result<Cow<'_, [u8]>> {
    if body.is_empty() {
        return Err(Error::bad_data("the request body is empty"));
    }
    match encoding {
        BodyEncoding::Identity => {
            check_size(body.len() as u64, max_bytes)?;
            Ok(Cow::Borrowed(body))
        }
        BodyEncoding::Snappy => unpack_snappy(body, max_bytes).map(Cow::Owned),
        BodyEncoding::Zstd => unpack_zstd(body, max_bytes).map(Cow::Owned),
    }
}

fn check_size(got: u64, max_bytes: usize) -> Result<()> {
    if got <= max_bytes as u64 {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::TooLarge,
        format!("the request has {got} bytes unpacked, at most {max_bytes} are allowed"),
    ))
}

fn unpack_snappy(body: &[u8], max_bytes: usize) -> Result<Vec<u8>> {
    let bad = |e: snap::Error| Error::bad_data(format!("the body is not valid snappy: {e}"));
    let len = snap::raw::decompress_len(body).map_err(bad)?;
    check_size(len as u64, max_bytes)?;
    if len / SNAPPY_RATIO_MAX > body.len() {
        return Err(Error::bad_data(format!(
            "the body is not valid snappy: {} bytes cannot unpack to the {len} they announce",
            body.len()
        )));
    }
    let mut unpacked = vec![0; len];
    let got = snap::raw::Decoder::new().decompress(body, &mut unpacked).map_err(bad)?;
    unpacked.truncate(got);
    Ok(unpacked)
}

fn unpack_zstd(body: &[u8], max_bytes: usize) -> Result<Vec<u8>> {
    let bad = |e: std::io::Error| Error::bad_data(format!("the body is not valid zstd: {e}"));
    // What the frame announces, if it does; a second frame may add to it.
    if let Ok(Some(announced)) = zstd::zstd_safe::get_frame_content_size(body) {
        check_size(announced, max_bytes)?;
    }
    // The decoder keeps a window of what it wrote; a frame of one segment makes it as large as its
    // content.
    let window_log =
        (usize::BITS - max_bytes.leading_zeros()).clamp(ZSTD_WINDOW_LOG_MIN, ZSTD_WINDOW_LOG_MAX);
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(bad)?;
    decoder.window_log_max(window_log).map_err(bad)?;
    let mut unpacked = Vec::new();
    // One byte more than allowed tells too much from just enough.
    decoder.take((max_bytes as u64).saturating_add(1)).read_to_end(&mut unpacked).map_err(bad)?;
    if unpacked.len() > max_bytes {
        return Err(Error::new(
            ErrorCode::TooLarge,
            format!(
                "the request has more than {max_bytes} bytes unpacked, which is the most allowed"
            ),
        ));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use BodyEncoding::{Identity, Snappy, Zstd};

    fn pack(encoding: BodyEncoding, text: &[u8]) -> Vec<u8> {
        match encoding {
            Identity => text.to_vec(),
            Snappy => snap::raw::Encoder::new().compress_vec(text).unwrap(),
            Zstd => zstd::stream::encode_all(text, 3).unwrap(),
        }
    }

    fn code(encoding: BodyEncoding, body: &[u8], max_bytes: usize) -> ErrorCode {
        decompress(encoding, body, max_bytes).unwrap_err().code()
    }

    #[test]
    fn bodies_unpack_up_to_the_limit_and_not_past_it() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|i| (i / 50).to_le_bytes()).collect();
        for encoding in [Identity, Snappy, Zstd] {
            let body = pack(encoding, &text);
            assert_eq!(decompress(encoding, &body, text.len()).unwrap(), text);
            assert_eq!(code(encoding, &body, text.len() - 1), ErrorCode::TooLarge);
        }
    }

    #[test]
    fn a_snappy_bomb_is_refused_by_its_header() {
        // Announces 2^32 - 1 bytes and has none.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
        let error = decompress(Snappy, &bomb, 10 << 20).unwrap_err();
        assert_eq!(error.code(), ErrorCode::TooLarge);
        assert!(error.message().contains("4294967295"), "{error}");
        assert!(error.message().contains("10485760"), "{error}");
        assert_eq!(code(Snappy, &bomb, usize::MAX), ErrorCode::BadData);
    }

    #[test]
    fn the_densest_snappy_is_within_the_assumed_ratio() {
        let zeros = vec![0; 1 << 20];
        let body = pack(Snappy, &zeros);
        assert_eq!(decompress(Snappy, &body, zeros.len()).unwrap(), zeros);
    }

    #[test]
    fn a_zstd_bomb_without_announced_size_stops_at_the_limit() {
        let mut packer = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        for _ in 0..64 {
            std::io::Write::write_all(&mut packer, &[0; 1 << 20]).unwrap();
        }
        let bomb = packer.finish().unwrap();
        assert!(bomb.len() < 10_000);
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&bomb).unwrap(), None);
        assert_eq!(code(Zstd, &bomb, 1 << 20), ErrorCode::TooLarge);
    }

    #[test]
    fn several_zstd_frames_are_one_body_and_one_limit() {
        let body = [pack(Zstd, b"one "), pack(Zstd, b"two")].concat();
        assert_eq!(&decompress(Zstd, &body, 7).unwrap()[..], b"one two");
        assert_eq!(code(Zstd, &body, 6), ErrorCode::TooLarge);
    }

    #[test]
    fn a_window_beyond_the_limit_is_refused() {
        let mut packer = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        packer.window_log(27).unwrap();
        std::io::Write::write_all(&mut packer, b"small").unwrap();
        std::io::Write::flush(&mut packer).unwrap();
        assert_eq!(code(Zstd, &packer.finish().unwrap(), 10 << 20), ErrorCode::BadData);
    }

    #[test]
    fn empty_truncated_and_foreign_bodies_are_bad_data() {
        let text = b"some text that is long enough to be cut, cut, cut, cut, cut";
        for encoding in [Identity, Snappy, Zstd] {
            assert_eq!(code(encoding, b"", 100), ErrorCode::BadData);
        }
        for encoding in [Snappy, Zstd] {
            let body = pack(encoding, text);
            for len in 1..body.len() {
                assert_eq!(code(encoding, &body[..len], 100), ErrorCode::BadData, "{len}");
            }
            assert_eq!(code(encoding, &[body, b"more".to_vec()].concat(), 100), ErrorCode::BadData);
            assert_eq!(code(encoding, b"GET / HTTP/1.1", 1000), ErrorCode::BadData);
        }
    }

    #[test]
    fn an_empty_message_is_a_valid_body() {
        for encoding in [Snappy, Zstd] {
            assert!(decompress(encoding, &pack(encoding, b""), 10).unwrap().is_empty());
        }
    }
}
