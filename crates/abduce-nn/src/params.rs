//! All parameters of a model in one flat vector with named ranges.

use abduce_data::Seed;
use std::ops::Range;

/// How a parameter starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// Every element has this value.
    Constant(f32),
    /// Uniform on (-k, k).
    Uniform(f32),
    /// These values.
    Values(Vec<f32>),
}

impl Init {
    /// U(-k, k) with k = 1/√fan_in, the usual start of a linear layer's weight and bias.
    pub fn fan_in(fan_in: usize) -> Self {
        Self::Uniform(1.0 / (fan_in.max(1) as f32).sqrt())
    }
}

/// One named parameter tensor inside the flat vector.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Dotted path, for example `transforms.0.conditioner.0.weight`.
    pub name: String,
    /// Logical shape, row-major.
    pub shape: Vec<usize>,
    /// Where it lies in the flat vector.
    pub range: Range<usize>,
    init: Init,
}

/// The flat vector's table of contents. Graphs that share parameters (training, sampling) are built on one layout: asking for a
/// name a second time gives the same range.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    parameters: Vec<Parameter>,
    mask: Option<Vec<f32>>,
    len: usize,
}

impl Layout {
    /// An empty layout.
    pub fn new() -> Self {
        Self::default()
    }

    /// The range of parameter `name`, added at the end if it is new.
    ///
    /// # Panics
    /// If the name exists with another shape, or initial values don't fit the shape: a mistake in our own builders.
    pub fn parameter(&mut self, name: &str, shape: &[usize], init: Init) -> Range<usize> {
        if let Some(known) = self.parameters.iter().find(|p| p.name == name) {
            assert_eq!(known.shape, shape, "parameter `{name}` is shared with another shape");
            return known.range.clone();
        }
        let len: usize = shape.iter().product();
        if let Init::Values(values) = &init {
            assert_eq!(values.len(), len, "initial values of `{name}`");
        }
        let range = self.len..self.len + len;
        self.len += len;
        if let Some(mask) = &mut self.mask {
            mask.resize(self.len, 1.0);
        }
        self.parameters.push(Parameter { name: name.to_owned(), shape: shape.to_vec(), range: range.clone(), init });
        range
    }

    /// Fixes elements of a parameter at zero: those where `mask` is 0. Their gradients are dropped, so they stay zero.
    ///
    /// # Panics
    /// If the mask's length differs from the range's.
    pub fn mask(&mut self, range: &Range<usize>, mask: &[f32]) {
        assert_eq!(mask.len(), range.len(), "one mask element per parameter element");
        let len = self.len;
        self.mask.get_or_insert_with(|| vec![1.0; len])[range.clone()].copy_from_slice(mask);
    }

    /// Length of the flat vector.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no parameter.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The parameters in the order of the flat vector.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// 1 where an element is trained and 0 where it is fixed at zero; `None` when all are trained.
    pub fn gradient_mask(&self) -> Option<&[f32]> {
        self.mask.as_deref()
    }

    /// Initial values, each parameter drawn from its own stream.
    pub fn initialise(&self, seed: Seed) -> Vec<f32> {
        let mut values = vec![0.0; self.len];
        for (index, parameter) in self.parameters.iter().enumerate() {
            let part = &mut values[parameter.range.clone()];
            match &parameter.init {
                Init::Constant(c) => part.fill(*c),
                Init::Uniform(k) => {
                    let mut rng = seed.stream("initialise", index as u64);
                    part.fill_with(|| (2.0 * rng.uniform() - 1.0) as f32 * k);
                }
                Init::Values(v) => part.copy_from_slice(v),
            }
        }
        if let Some(mask) = &self.mask {
            values.iter_mut().zip(mask).for_each(|(v, m)| *v *= m);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_names_share_a_range_and_masked_elements_start_at_zero() {
        let mut layout = Layout::new();
        let a = layout.parameter("a", &[2, 2], Init::Constant(3.0));
        layout.mask(&a, &[1.0, 0.0, 1.0, 1.0]);
        let b = layout.parameter("b", &[3], Init::fan_in(4));
        assert_eq!(layout.parameter("a", &[2, 2], Init::Constant(9.0)), a);
        let values = layout.initialise(Seed(1));
        assert_eq!(values[a], [3.0, 0.0, 3.0, 3.0]);
        assert!(values[b].iter().all(|v| v.abs() <= 0.5 && *v != 0.0));
        assert_eq!(layout.gradient_mask().map(<[f32]>::len), Some(7));
    }
}
