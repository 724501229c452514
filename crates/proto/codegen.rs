//! Generates `src/gen` from the contract in `proto/`: shared by `cargo xtask codegen`, which writes,
//! and by the test that compares.

use std::{fs, path::Path};

use prost::Message;

/// The packages of the contract, in dependency order.
const PROTOS: [&str; 7] = [
    "mestres/events/v1/events.proto",
    "mestres/accounts/v1/accounts.proto",
    "mestres/agenda/v1/agenda.proto",
    "mestres/catalog/v1/catalog.proto",
    "mestres/metrics/v1/metrics.proto",
    "mestres/notifications/v1/notifications.proto",
    "mestres/orders/v1/orders.proto",
];

/// Writes the generated Rust files and the file descriptor set into `out`, which must exist.
pub fn generate(proto_root: &Path, out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let files = PROTOS.map(|proto| proto_root.join(proto));
    let descriptors = protox::compile(files, [proto_root])?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".mestres.catalog.v1.GetImageResponse.content")
        .out_dir(out)
        .compile_fds(descriptors)?;
    Ok(())
}
