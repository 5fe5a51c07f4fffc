//! The native part of the Python module `abduce`: what Python hands over as JSON and arrays, and gets back as JSON and arrays.
//!
//! Everything that a user sees is in the Python files beside it; nothing here is an interface to rely on.

mod abc;
mod arrays;
mod compress;
mod cosmology;
mod dimension;
mod error;
mod posterior;
mod prior;
mod simulation;
mod training;
mod validation;
mod work;

use pyo3::prelude::*;

/// The native part of `abduce`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("ConfigError", py.get_type::<error::ConfigError>())?;
    module.add("ShapeError", py.get_type::<error::ShapeError>())?;
    module.add("NumericsError", py.get_type::<error::NumericsError>())?;
    module.add("SamplerError", py.get_type::<error::SamplerError>())?;
    module.add_class::<prior::Prior>()?;
    module.add_class::<posterior::Posterior>()?;
    module.add_class::<abc::AbcPosterior>()?;
    module.add_class::<compress::Compressor>()?;
    module.add_function(wrap_pyfunction!(posterior::load, module)?)?;
    module.add_function(wrap_pyfunction!(posterior::from_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(abc::train_abc, module)?)?;
    module.add_function(wrap_pyfunction!(compress::train_compressor, module)?)?;
    module.add_function(wrap_pyfunction!(compress::report_compressor, module)?)?;
    module.add_function(wrap_pyfunction!(dimension::dimension, module)?)?;
    module.add_function(wrap_pyfunction!(dimension::dimension_of_losses, module)?)?;
    module.add_function(wrap_pyfunction!(training::check_infer, module)?)?;
    module.add_function(wrap_pyfunction!(training::yaml_to_json, module)?)?;
    module.add_function(wrap_pyfunction!(training::train, module)?)?;
    module.add_function(wrap_pyfunction!(training::train_rounds, module)?)?;
    module.add_function(wrap_pyfunction!(simulation::simulate, module)?)?;
    module.add_function(wrap_pyfunction!(validation::validate, module)?)?;
    module.add_function(wrap_pyfunction!(validation::corner, module)?)?;
    module.add_function(wrap_pyfunction!(validation::validation_figure, module)?)?;
    module.add_function(wrap_pyfunction!(validation::report, module)?)?;
    module.add_function(wrap_pyfunction!(cosmology::linear_power, module)?)?;
    module.add_function(wrap_pyfunction!(cosmology::growth, module)?)?;
    module.add_function(wrap_pyfunction!(cosmology::simulate_universe, module)?)?;
    module.add_function(wrap_pyfunction!(cosmology::friends_of_friends, module)?)?;
    module.add_function(wrap_pyfunction!(cosmology::power_spectrum, module)?)?;
    module.add_function(wrap_pyfunction!(cosmology::bispectrum, module)?)?;
    module.add_function(wrap_pyfunction!(program, module)?)?;
    Ok(())
}

/// The program, with the arguments behind its name; gives the exit status.
#[pyfunction]
fn program(py: Python<'_>, arguments: Vec<String>) -> u8 {
    py.detach(|| abduce::cli::run(std::iter::once("abduce".to_string()).chain(arguments)))
}
