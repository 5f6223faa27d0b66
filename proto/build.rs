//! Compiles the `.proto` files with protox: no system protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 6] = [
    "proto/overlap/peer/v1/peer.proto",
    "proto/overlap/peer/v1/picture.proto",
    "proto/overlap/peer/v1/action.proto",
    "proto/overlap/operator/v1/operator.proto",
    "proto/overlap/operator/v1/picture.proto",
    "proto/overlap/operator/v1/action.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
