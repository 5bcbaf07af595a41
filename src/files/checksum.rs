//! Bytes followed by their CRC-32, for files that only whycam reads.

/// Appends the CRC-32 of the bytes, 4 bytes in little-endian order.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// The bytes that were sealed; `None` if their CRC-32 no longer matches.
pub fn unsealed(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let sum = bytes.split_off(bytes.len().checked_sub(size_of::<u32>())?);
    (sum == crc32fast::hash(&bytes).to_le_bytes()).then_some(bytes)
}
