//! Writing HDF5 files.

use super::Attribute;
use crate::artefact::write_atomic;
use crate::error::{DataError, Result};
use hdf5_pure::{AttrValue, DatasetBuilder, FileBuilder, GroupBuilder};
use std::path::Path;

/// Values to be written.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
    /// Bytes.
    U8(&'a [u8]),
    /// Integers.
    I32(&'a [i32]),
    /// Integers.
    U32(&'a [u32]),
    /// Identities.
    U64(&'a [u64]),
}

impl Values<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::U64(values) => values.len(),
        }
    }
}

/// An array to be written.
#[derive(Clone, Debug)]
struct Leaf<'a> {
    name: String,
    shape: Vec<usize>,
    values: Values<'a>,
}

/// A group, or the whole file.
#[derive(Clone, Debug, Default)]
pub struct Node<'a> {
    /// Its attributes.
    pub attributes: Vec<(String, Attribute)>,
    /// Groups in it.
    pub groups: Vec<(String, Self)>,
    arrays: Vec<Leaf<'a>>,
}

impl<'a> Node<'a> {
    /// Adds an array of this shape, row-major. The shape is compared with the number of values when the file is written.
    pub fn array(&mut self, name: &str, shape: &[usize], values: Values<'a>) {
        self.arrays.push(Leaf { name: name.into(), shape: shape.to_vec(), values });
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, name: &str, value: Attribute) {
        self.attributes.push((name.into(), value));
    }

    fn fill(&self, group: &mut GroupBuilder) -> Result<()> {
        for (name, value) in &self.attributes {
            group.set_attr(name, stored(value));
        }
        for leaf in &self.arrays {
            leaf.fill(group.create_dataset(&leaf.name))?;
        }
        for (name, node) in &self.groups {
            let mut inner = group.create_group(name);
            node.fill(&mut inner)?;
            group.add_group(inner.finish());
        }
        Ok(())
    }
}

impl Leaf<'_> {
    fn fill(&self, dataset: &mut DatasetBuilder) -> Result<()> {
        let count = crate::array::element_count(&self.shape);
        if count != Some(self.values.len()) {
            return Err(DataError::Shape { shape: self.shape.clone(), values: self.values.len() });
        }
        let shape: Vec<u64> = self.shape.iter().map(|&axis| axis as u64).collect();
        match self.values {
            Values::F32(values) => dataset.with_f32_data(values),
            Values::F64(values) => dataset.with_f64_data(values),
            Values::U8(values) => dataset.with_u8_data(values),
            Values::I32(values) => dataset.with_i32_data(values),
            Values::U32(values) => dataset.with_u32_data(values),
            Values::U64(values) => dataset.with_u64_data(values),
        };
        dataset.with_shape(&shape);
        Ok(())
    }
}

fn stored(value: &Attribute) -> AttrValue {
    match value {
        Attribute::Numbers(values) => match values[..] {
            [value] => AttrValue::F64(value),
            _ => AttrValue::F64Array(values.clone()),
        },
        Attribute::Integers(values) => match values[..] {
            [value] => AttrValue::I64(value),
            _ => AttrValue::I64Array(values.clone()),
        },
        // Variable length: h5py then reads `str`, and no text is too long for the header of its object.
        Attribute::Text(values) => match &values[..] {
            [value] => AttrValue::VarLenString(value.clone()),
            _ => AttrValue::VarLenStringArray(values.clone()),
        },
    }
}

/// Writes a file, complete or not at all; the same contents give the same bytes.
///
/// # Errors
/// A shape that does not hold its values, a name that HDF5 does not allow, or the file.
pub fn write(path: &Path, root: &Node<'_>) -> Result<()> {
    let mut builder = FileBuilder::new();
    for (name, value) in &root.attributes {
        builder.set_attr(name, stored(value));
    }
    for leaf in &root.arrays {
        leaf.fill(builder.create_dataset(&leaf.name))?;
    }
    for (name, node) in &root.groups {
        let mut group = builder.create_group(name);
        node.fill(&mut group)?;
        builder.add_group(group.finish());
    }
    write_atomic(path, |out| builder.finish_to(out).map_err(std::io::Error::other))
}
