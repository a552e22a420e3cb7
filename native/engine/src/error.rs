//! The one error of the engine: a closed list of codes, a sentence with got and want, and for
//! corruption the file, the offset and what was expected there.
//!
//! A rejected *sample* is not an error but data in a write's outcome; an `Error` is for a request,
//! an open or a background step that failed as a whole.

use std::fmt;
use std::path::{Path, PathBuf};

/// What went wrong, as a closed list. The text of [`ErrorCode::as_str`] is stable: it crosses the
/// boundary and is the key of the table in `src/errors.ts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request cannot be understood: malformed body, invalid label, bad regex.
    BadData,
    /// A sample older than retention allows.
    TooOld,
    /// A sample further in the future than `ingest.maxFuture`.
    TooFarAhead,
    /// A configured or built-in limit would be passed.
    LimitExceeded,
    /// The request is larger than `ingest.maxRequestBytes`.
    TooLarge,
    /// A queue is full; the same request may succeed later.
    Overloaded,
    /// The deadline passed.
    Timeout,
    /// The thing asked for does not exist.
    NotFound,
    /// Bytes on disk are not what was written.
    Corruption,
    /// The file system has no room.
    DiskFull,
    /// The directory cannot be written, or another process has it.
    ReadOnly,
    /// The engine is closed or closing.
    Closed,
    /// The caller canceled.
    Canceled,
    /// The operating system refused.
    Io,
    /// A bug in metricstor.
    Internal,
}

impl ErrorCode {
    /// Every code, in declaration order; the tidy test compares it with `src/errors.ts`.
    pub const ALL: [ErrorCode; 15] = [
        Self::BadData,
        Self::TooOld,
        Self::TooFarAhead,
        Self::LimitExceeded,
        Self::TooLarge,
        Self::Overloaded,
        Self::Timeout,
        Self::NotFound,
        Self::Corruption,
        Self::DiskFull,
        Self::ReadOnly,
        Self::Closed,
        Self::Canceled,
        Self::Io,
        Self::Internal,
    ];

    /// The stable text of the code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::TooOld => "too_old",
            Self::TooFarAhead => "too_far_ahead",
            Self::LimitExceeded => "limit_exceeded",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::NotFound => "not_found",
            Self::Corruption => "corruption",
            Self::DiskFull => "disk_full",
            Self::ReadOnly => "read_only",
            Self::Closed => "closed",
            Self::Canceled => "canceled",
            Self::Io => "io",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where on disk an error was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Byte offset in the file, where one is known.
    pub offset: Option<u64>,
}

/// An engine error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}{}", PlaceSuffix(place.as_deref()))]
pub struct Error {
    code: ErrorCode,
    message: String,
    place: Option<Box<Place>>,
    newer: bool,
}

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

struct PlaceSuffix<'a>(Option<&'a Place>);

impl fmt::Display for PlaceSuffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(Place { file, offset: None }) => write!(f, " (file {})", file.display()),
            Some(Place { file, offset: Some(at) }) => {
                write!(f, " (file {}, offset {at})", file.display())
            }
        }
    }
}

impl Error {
    /// An error of `code` with a sentence that says what, and got and want where that applies.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place: None, newer: false }
    }

    /// [`ErrorCode::BadData`].
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadData, message)
    }

    /// [`ErrorCode::Internal`]: an invariant of metricstor itself does not hold.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// [`ErrorCode::Corruption`] in `file`; `message` says what was found and what was expected.
    pub fn corruption(file: &Path, offset: u64, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Corruption, message).at(file, Some(offset))
    }

    /// [`ErrorCode::Corruption`] for bytes that are whole, but of a format that this build does not
    /// know. Nobody may take them for damaged: a newer build reads them.
    pub fn newer_format(message: impl Into<String>) -> Self {
        Self { newer: true, ..Self::new(ErrorCode::Corruption, message) }
    }

    /// An operating-system error: `what` was being done to `file`. `ENOSPC` and `EDQUOT` become
    /// [`ErrorCode::DiskFull`], `EROFS` and `EACCES` [`ErrorCode::ReadOnly`], `ENOENT`
    /// [`ErrorCode::NotFound`].
    pub fn io(what: &str, file: &Path, cause: &std::io::Error) -> Self {
        let code = match cause.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => ErrorCode::DiskFull,
            Some(libc::EROFS | libc::EACCES | libc::EPERM) => ErrorCode::ReadOnly,
            Some(libc::ENOENT) => ErrorCode::NotFound,
            _ => ErrorCode::Io,
        };
        Self::new(code, format!("cannot {what}: {cause}")).at(file, None)
    }

    /// The same error with a place.
    #[must_use]
    pub fn at(mut self, file: &Path, offset: Option<u64>) -> Self {
        self.place = Some(Box::new(Place { file: file.to_path_buf(), offset }));
        self
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Whether it is about bytes that a newer build reads: see [`Error::newer_format`].
    pub fn is_newer_format(&self) -> bool {
        self.newer
    }

    /// The sentence, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The place on disk, where the error has one.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let mut texts: Vec<_> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn a_full_disk_has_its_own_code() {
        let cause = std::io::Error::from_raw_os_error(libc::ENOSPC);
        assert_eq!(Error::io("write", Path::new("x"), &cause).code(), ErrorCode::DiskFull);
    }

    #[test]
    fn the_text_names_file_and_offset() {
        let text = Error::corruption(Path::new("wal/1"), 7, "got 1, want 2").to_string();
        assert_eq!(text, "got 1, want 2 (file wal/1, offset 7)");
    }
}
