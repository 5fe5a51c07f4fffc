//! Calls of the program in a folder of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(dead_code, reason = "each test file uses its part")]

use abduce_data::{Array, npy};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with small simulations and the files that train on them.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
}

/// Ended with this status, and said this.
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("data.yaml", "{in_dir: sims, theta_file: theta.npy, x_file: x.npy}");
        place.write("infer.yaml", INFER);
        place
    }

    /// With 500 simulations of two_moons in `sims`.
    pub(crate) fn simulated() -> Self {
        let place = Self::new();
        place.ok(&["simulate", "two_moons", "-n", "500", "--seed", "1", "-o", "sims", "--quiet"]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn array(&self, name: &str) -> Array {
        npy::read(&self.path(name)).unwrap()
    }

    pub(crate) fn save(&self, name: &str, shape: &[usize], values: impl FnMut(usize) -> f32) {
        let values = (0..shape.iter().product()).map(values).collect();
        npy::write(&self.path(name), &Array::new(shape.to_vec(), values).unwrap()).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_abduce"));
        command.args(args).current_dir(self.folder.path()).env_remove("ABDUCE_SIMD");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { status: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Must succeed; gives standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.status, 0, "{args:?}: {}", ended.stderr);
        ended.stdout
    }

    /// Must end with `status` and say all of `parts`.
    pub(crate) fn fails(&self, status: i32, args: &[&str], parts: &[&str]) {
        let ended = self.run(args);
        assert_eq!(ended.status, status, "{args:?}: {}", ended.stderr);
        // Lines are broken and drawn around; the words are what matters.
        let plain = |line: &str| {
            let words = line.split_whitespace().skip_while(|word| ["|", "x", "help:"].contains(word));
            words.collect::<Vec<_>>().join(" ")
        };
        let plain = ended.stderr.lines().map(plain).collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(plain.contains(part), "{args:?} should say `{part}`: {}", ended.stderr);
        }
        assert!(!plain.contains("panicked"), "{}", ended.stderr);
    }
}

/// Two small nets, a few epochs.
pub(crate) const INFER: &str = "
prior: {uniform: {low: [-1, -1], high: [1, 1]}}
model: {nets: [{model: maf, hidden_features: 8, num_transforms: 2, signature: a}, {model: mdn, hidden_features: 8, num_components: 3}]}
train_args: {training_batch_size: 50, max_num_epochs: 5}
";

/// Names of the files below `folder`, sorted, without those that hold times and paths.
pub(crate) fn results(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else if !["provenance.json", "timings.json", ".lock"].contains(&name.as_str()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Both folders hold the same files with the same bytes.
pub(crate) fn assert_same_bytes(a: &Path, b: &Path) {
    let relative = |folder: &Path| results(folder).iter().map(|p| p.strip_prefix(folder).unwrap().to_path_buf()).collect::<Vec<_>>();
    assert_eq!(relative(a), relative(b));
    for name in relative(a) {
        assert!(std::fs::read(a.join(&name)).unwrap() == std::fs::read(b.join(&name)).unwrap(), "{} differs", name.display());
    }
}
