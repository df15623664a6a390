//! The binary of eks-preflight.
mod output;

fn main() {}
