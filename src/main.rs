//! The binary of eks-preflight.
fn main() {}
