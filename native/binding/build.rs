//! Lets napi-rs set the linker flags of a Node add-on.

fn main() {
    napi_build::setup();
}
