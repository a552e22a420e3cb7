//! Exports of the add-on.
