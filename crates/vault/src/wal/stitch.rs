//! From parts to the beginning of a segment: a pure function.
//!
//! The rule it keeps: a byte is given back only if every part that covers it says the same, and
//! every byte before it was given back. It never chooses between two values, never jumps a gap.

use super::place::SegmentSize;

/// A part that has been opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where in the segment it begins.
    pub from: u32,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The object it was read from.
    pub object: String,
}

/// The beginning of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stitched {
    /// The bytes from the segment's first one on.
    pub bytes: Vec<u8>,
    /// The objects these bytes came from or agree with, in the order of their places.
    pub objects: Vec<String>,
    /// Why the bytes end where they do, if not because nothing more is there.
    pub divergence: Option<Divergence>,
    /// What is not used because it lies after the end.
    pub islands: Vec<Island>,
}

/// Two parts disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The first byte of the segment that has two values.
    pub position: u32,
    /// Every object that covers it.
    pub objects: Vec<String>,
}

/// Bytes behind a gap or a divergence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Island {
    /// Its first byte within the segment.
    pub from: u32,
    /// One after its last.
    pub to: u32,
    /// The object.
    pub object: String,
}

impl Part {
    fn to(&self) -> usize {
        (self.from as usize).saturating_add(self.bytes.len())
    }
}

impl Stitched {
    /// How many bytes there are.
    pub fn end(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("a segment is at most 1 GiB")
    }
}

/// Puts parts of one segment together. The order in which they are given does not matter. A part
/// that is empty or reaches beyond the segment is not a part of it and must not be given; it is
/// left out.
pub fn stitch(segment_size: SegmentSize, mut parts: Vec<Part>) -> Stitched {
    let limit = segment_size.bytes() as usize;
    parts.retain(|part| !part.bytes.is_empty() && part.to() <= limit);
    parts.sort_by(|a, b| (a.from, &a.object).cmp(&(b.from, &b.object)));
    let mut bytes: Vec<u8> = Vec::new();
    let mut divergence = None;
    for part in &parts {
        let from = part.from as usize;
        // A byte beyond the first divergence known so far cannot move it forward.
        let end = divergence.unwrap_or(bytes.len());
        if from > bytes.len() || from > end {
            break;
        }
        let known = &bytes[from..];
        let differs = known.iter().zip(&part.bytes).position(|(ours, theirs)| ours != theirs);
        if let Some(differs) = differs {
            divergence = Some(divergence.unwrap_or(usize::MAX).min(from + differs));
        }
        let fresh = part.bytes.get(known.len()..).unwrap_or(&[]);
        bytes.extend_from_slice(fresh);
    }
    bytes.truncate(divergence.unwrap_or(usize::MAX));
    tell(bytes, divergence, parts)
}

/// What each part became.
fn tell(bytes: Vec<u8>, divergence: Option<usize>, parts: Vec<Part>) -> Stitched {
    let end = bytes.len();
    let divergence = divergence.map(|_| Divergence {
        position: u32::try_from(end).expect("a segment is at most 1 GiB"),
        objects: parts
            .iter()
            .filter(|part| part.from as usize <= end && end < part.to())
            .map(|part| part.object.clone())
            .collect(),
    });
    let (mut objects, mut islands) = (Vec::new(), Vec::new());
    for part in parts {
        let to = u32::try_from(part.to()).expect("parts beyond the segment were left out");
        if part.to() > end {
            let from = part.from.max(u32::try_from(end).expect("a segment is at most 1 GiB"));
            islands.push(Island { from, to, object: part.object.clone() });
        }
        if (part.from as usize) < end {
            objects.push(part.object);
        }
    }
    Stitched { bytes, objects, divergence, islands }
}

/// The segment a server can be given: the bytes and zeros up to the segment size. PostgreSQL drops
/// the last page of a short file without an error and refuses one of another length, and zeros,
/// unlike the old content of a recycled file, cannot be taken for records.
pub fn zero_filled(mut bytes: Vec<u8>, segment_size: SegmentSize) -> Vec<u8> {
    bytes.resize(segment_size.bytes() as usize, 0);
    bytes
}

#[cfg(test)]
mod tests;
