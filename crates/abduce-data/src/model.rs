//! Model files: a safetensors container of f32 tensors with one JSON document beside them.
//!
//! The document stands in the container's `__metadata__` under the single key `abduce`, as
//! `{"format_version": 1, "content": …}`; other programs can read the tensors all the same. Nothing in a file is ever executed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use crate::array::Array;
use crate::artefact::write_atomic;
use crate::error::{DataError, ModelProblem, Result};

/// Version of the files that this build writes; it reads all versions up to this one.
pub const FORMAT_VERSION: u32 = 1;

const KEY: &str = "abduce";

/// Tensors and what they mean.
///
/// ```
/// use abduce_data::{Array, model::ModelFile};
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("net.safetensors");
/// let weights = Array::new(vec![2, 2], vec![1.0f32, 0.0, 0.0, 1.0])?;
/// ModelFile { metadata: serde_json::json!({"kind": "linear"}), tensors: vec![("weights".into(), weights)] }.save(&path)?;
/// let model = ModelFile::load(&path)?;
/// assert_eq!(model.metadata["kind"], "linear");
/// assert_eq!(model.tensor(&path, "weights")?.shape(), [2, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// Architecture, conventions, units and training statistics.
    pub metadata: Value,
    /// Named tensors. Files keep them sorted by name, whatever the order here.
    pub tensors: Vec<(String, Array)>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Document<C> {
    format_version: u32,
    content: C,
}

impl ModelFile {
    /// Write the file; it appears complete or not at all. The same model gives the same bytes.
    pub fn save(&self, path: &Path) -> Result<()> {
        let problem = |problem| DataError::Model { path: path.to_path_buf(), problem };
        let mut names = BTreeSet::new();
        if let Some((name, _)) = self.tensors.iter().find(|(name, _)| !names.insert(name) || name == "__metadata__") {
            return Err(problem(ModelProblem::TensorName(name.clone())));
        }
        let damaged = |reason: String| problem(ModelProblem::Container(reason));
        let document = serde_json::to_string(&Document { format_version: FORMAT_VERSION, content: &self.metadata });
        let document = document.map_err(|error| damaged(error.to_string()))?;
        let bytes: Vec<Vec<u8>> =
            self.tensors.iter().map(|(_, array)| array.data().iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = self.tensors.iter().zip(&bytes).map(|((name, array), bytes)| {
            let view = TensorView::new(Dtype::F32, array.shape().to_vec(), bytes).map_err(|error| damaged(error.to_string()))?;
            Ok((name, view))
        });
        // One key only: a map of several would come out in an order that changes from run to run.
        let metadata = [(KEY.to_owned(), document)].into_iter().collect();
        let file =
            safetensors::serialize(views.collect::<Result<Vec<_>>>()?, Some(metadata)).map_err(|error| damaged(error.to_string()))?;
        write_atomic(path, |out| out.write_all(&file))
    }

    /// Read a file of this or an older version.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(DataError::io(path, "read"))?;
        Self::parse(&bytes).map_err(|problem| DataError::Model { path: path.to_path_buf(), problem })
    }

    fn parse(bytes: &[u8]) -> Result<Self, ModelProblem> {
        let container = |error: safetensors::SafeTensorError| ModelProblem::Container(error.to_string());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(container)?;
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).ok_or(ModelProblem::Foreign)?;
        // The version first: what a newer one contains is not ours to judge.
        #[derive(serde::Deserialize)]
        struct Version {
            format_version: u32,
        }
        let invalid = |error: serde_json::Error| ModelProblem::Metadata(error.to_string());
        let Version { format_version } = serde_json::from_str(text).map_err(invalid)?;
        if format_version > FORMAT_VERSION {
            return Err(ModelProblem::Newer { found: format_version, supported: FORMAT_VERSION });
        }
        let Document { content: metadata, .. } = serde_json::from_str::<Document<Value>>(text).map_err(invalid)?;
        Ok(Self { metadata, tensors: tensors(bytes)? })
    }

    /// The tensor called `name`; `path` is where the model came from, for the error.
    pub fn tensor(&self, path: &Path, name: &str) -> Result<&Array> {
        self.tensors
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, array)| array)
            .ok_or_else(|| DataError::Model { path: path.to_path_buf(), problem: ModelProblem::MissingTensor(name.to_owned()) })
    }
}

/// The f32 tensors of any safetensors file, such as those that torch networks are saved in, sorted by name.
///
/// # Errors
/// The file can't be read, is no safetensors file, or holds numbers of another type.
pub fn read_tensors(path: &Path) -> Result<Vec<(String, Array)>> {
    let bytes = fs::read(path).map_err(DataError::io(path, "read"))?;
    tensors(&bytes).map_err(|problem| DataError::Model { path: path.to_path_buf(), problem })
}

fn tensors(bytes: &[u8]) -> Result<Vec<(String, Array)>, ModelProblem> {
    let mut tensors = Vec::new();
    let file = SafeTensors::deserialize(bytes).map_err(|error| ModelProblem::Container(error.to_string()))?;
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(ModelProblem::Dtype { name: name.to_owned(), dtype: format!("{:?}", view.dtype()) });
        }
        let (words, _) = view.data().as_chunks::<4>();
        let data = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
        let array = Array::new(view.shape().to_vec(), data).map_err(|error| ModelProblem::Container(error.to_string()))?;
        tensors.push((name.to_owned(), array));
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn model() -> ModelFile {
        let array = |shape: &[usize], value: f32| Array::filled(shape, value).unwrap();
        let tensors =
            vec![("a".to_owned(), array(&[2, 3], 0.1)), ("b".to_owned(), array(&[], -3.0)), ("c".to_owned(), array(&[0, 4], 0.0))];
        ModelFile { metadata: json!({"kind": "test", "loss": 0.1, "units": {"mass": "Msun"}}), tensors }
    }

    fn saved(model: &ModelFile) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        model.save(&path).unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn what_is_saved_is_loaded_and_order_does_not_matter() {
        let mut other = model();
        other.tensors.reverse();
        let bytes = saved(&model());
        assert_eq!(bytes, saved(&other));
        assert_eq!(ModelFile::parse(&bytes).unwrap(), model());
    }

    /// A file of version 1, written by hand after the format's description; it must stay readable for ever.
    #[test]
    fn a_file_of_version_1_is_read() {
        let header = r#"{"__metadata__":{"abduce":"{\"format_version\":1,\"content\":{\"kind\":\"w\"}}"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        let model = ModelFile::parse(&bytes).unwrap();
        assert_eq!((model.metadata, model.tensors[0].1.data()), (json!({"kind": "w"}), &[1.0, -2.0][..]));
    }

    fn altered(from: &str, to: &str) -> ModelProblem {
        let bytes = saved(&model());
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
        assert!(header.contains(from), "{header}");
        let header = header.replacen(from, to, 1);
        let mut altered = (header.len() as u64).to_le_bytes().to_vec();
        altered.extend_from_slice(header.as_bytes());
        altered.extend_from_slice(&bytes[8 + length..]);
        ModelFile::parse(&altered).unwrap_err()
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let newer = altered("format_version\\\":1", "format_version\\\":7");
        assert_eq!(newer, ModelProblem::Newer { found: 7, supported: 1 });
        assert_eq!(
            newer.to_string(),
            "written by a newer version: its format is 7, this program reads up to 1; update the program to read it"
        );
        assert_eq!(altered("\"abduce\"", "\"other\""), ModelProblem::Foreign);
        assert!(matches!(altered("format_version", "format_wersion"), ModelProblem::Metadata(_)));
        assert!(matches!(altered("\"F32\",\"shape\":[2,3]", "\"I32\",\"shape\":[2,3]"), ModelProblem::Dtype { .. }));
        assert!(matches!(altered("[2,3]", "[2,4]"), ModelProblem::Container(_)));
        assert!(matches!(altered("[2,3]", "[9223372036854775807,3]"), ModelProblem::Container(_)));
        assert!(matches!(altered("\"data_offsets\":[0,24]", "\"data_offsets\":[0,9999999999]"), ModelProblem::Container(_)));
        let bytes = saved(&model());
        assert!(matches!(ModelFile::parse(&bytes[..bytes.len() - 1]), Err(ModelProblem::Container(_))));
        assert!(matches!(ModelFile::parse(&[0xff; 64]), Err(ModelProblem::Container(_))));
        let error = model().tensor(Path::new("m"), "d").unwrap_err().to_string();
        assert_eq!(error, "m: not a usable model file: tensor `d` is missing");
    }

    #[test]
    fn names_must_differ() {
        let mut twice = model();
        twice.tensors.push(twice.tensors[0].clone());
        let dir = tempfile::tempdir().unwrap();
        assert!(twice.save(&dir.path().join("m")).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    proptest! {
        #[test]
        fn mutated_files_never_panic(edits in prop::collection::vec((0usize..1000, any::<u8>()), 1..5), cut in 0usize..200) {
            let mut bytes = saved(&model());
            for (at, byte) in edits {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut.saturating_sub(150));
            ModelFile::parse(&bytes).ok();
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            ModelFile::parse(&bytes).ok();
        }
    }
}
