//! `abduce compress report`: what an ordered code keeps at each width, and what its latents mean.
//!
//! The same files give the same bytes.

mod dimension;
mod latents;
mod losses;
mod reconstructions;

use super::{PresentError, write_bytes};
use crate::error::Error;
use crate::pipeline::VERSION;
use crate::session::Session;
use crate::stages::compress::{LOSSES, Losses, Task, load, read, rows};
use abduce_bottleneck::{Compressor, Head};
use abduce_data::Array;
use abduce_report::Figure;
use abduce_report::html::{Block, Report, Section, Status, Verdict, Width};
use std::path::{Path, PathBuf};

/// Name of the page in the folder of a training.
pub const REPORT: &str = "report.html";
/// Rows looked at: enough for correlations to within a hundredth.
const MOST_ROWS: usize = 20_000;

/// Writes `FOLDER/report.html` about the rows of `data`; `columns` is a table to compare the latents with.
///
/// # Errors
/// The folder holds no training, the data or the table don't fit, or the page can't be written.
pub fn write(session: &Session, folder: &Path, data: &Path, columns: Option<&Path>) -> Result<PathBuf, Error> {
    let model = load(folder)?;
    let text = std::fs::read_to_string(folder.join(LOSSES));
    let text = text.map_err(|source| Error::File { action: "read", path: folder.join(LOSSES), source })?;
    let known: Losses = serde_json::from_str(&text)
        .map_err(|error| Error::failed(format!("{}: {error}", folder.join(LOSSES).display()), "train again with this version"))?;
    let all = rows(data, &model.shape)?;
    let x = all.select_rows(0..all.rows().min(MOST_ROWS));
    let named = match columns {
        Some(path) => {
            let (table, names) = read(path)?;
            if table.rows() != all.rows() || names.is_empty() {
                return Err(Error::failed(
                    format!("{} has {} rows with {} names; the data have {} rows", path.display(), table.rows(), names.len(), all.rows()),
                    "expected a table with a line of names and one line for each row of the data",
                ));
            }
            Some((table.select_rows(0..x.rows()), names))
        }
        None => own_columns(&model, &x),
    };
    let view = View { session, model: &model, losses: &known, codes: model.encode(&session.compute, &x, model.latents())?, x };
    let mut sections = vec![losses::section(&view)?];
    sections.extend(dimension::section(&view, folder)?);
    if !matches!(model.model.spec().head, Head::Flow { .. }) {
        if known.task == Task::Reconstruction {
            sections.extend(reconstructions::section(&view)?);
        }
        sections.extend(latents::walks(&view)?);
    }
    if let Some((table, names)) = &named {
        sections.push(latents::meaning(&view, table, names));
    }
    sections.extend(losses::history(&view)?);
    let page = Report {
        title: "Ordered compression".into(),
        subtitle: format!("{} numbers per row, {} latents", model.model.spec().features, model.latents()),
        verdict: Verdict {
            status: Status::Neutral,
            headline: losses::headline(&view),
            text: "Measured on rows that the training has not seen. One model serves all widths: encode once, cut the code anywhere."
                .into(),
        },
        gates: Vec::new(),
        warnings: Vec::new(),
        run: overview(&view),
        data: None,
        sections,
        footer: vec![format!("abduce {VERSION}")],
    };
    let page = page.html().map_err(|source| PresentError::Figure { figure: "the report".into(), source })?;
    let path = folder.join(REPORT);
    write_bytes(&path, page.as_bytes())?;
    Ok(path)
}

/// What the sections look at.
struct View<'a> {
    session: &'a Session,
    model: &'a Compressor,
    losses: &'a Losses,
    x: Array,
    codes: Array,
}

impl View<'_> {
    /// Widths worth showing: 1, 2, 4, … and all.
    fn widths(&self) -> Vec<usize> {
        let latents = self.model.latents();
        std::iter::successors(Some(1), |w| Some(2 * w)).take_while(|&w| w < latents).chain([latents]).collect()
    }

    /// Height and width where rows are single pictures.
    fn picture(&self) -> Option<[usize; 2]> {
        match self.model.target_shape[..] {
            [h, w] | [1, h, w] | [h, w, 1] if h > 3 && w > 3 => Some([h, w]),
            _ => None,
        }
    }
}

/// The data's own columns, where a row is a few numbers.
fn own_columns(model: &Compressor, x: &Array) -> Option<(Array, Vec<String>)> {
    let few = model.shape.len() == 1 && x.row_len() <= 32;
    let names = || if model.columns.is_empty() { (1..=x.row_len()).map(|j| format!("x{j}")).collect() } else { model.columns.clone() };
    few.then(|| (x.clone(), names()))
}

fn overview(view: &View<'_>) -> Vec<(String, String)> {
    let (spec, summary) = (view.model.model.spec(), &view.model.summary);
    let pair = |name: &str, value: String| (name.to_string(), value);
    let net = |net: &abduce_bottleneck::Net| match net {
        abduce_bottleneck::Net::Dense { hidden, .. } if hidden.is_empty() => "linear".to_string(),
        abduce_bottleneck::Net::Dense { hidden, activation } => {
            let widths = hidden.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            activation.map_or(format!("linear layers {widths}"), |a| format!("layers {widths} with {a:?}"))
        }
        abduce_bottleneck::Net::Conv { channels, hidden, activation, .. } => {
            format!("convolutions with {channels:?} channels, layers {hidden:?}, {activation:?}")
        }
        other => format!("{other:?}"),
    };
    vec![
        pair("encoder", net(&spec.encoder)),
        pair("decoder", net(&spec.decoder)),
        pair("loss", spec.head.name().to_string()),
        pair("weights of the widths", format!("{:?}", summary.weights)),
        pair("widths per step", format!("{:?}", summary.schedule)),
        pair("rows", format!("{} trained on, {} held out", summary.training_rows, summary.test_rows)),
        pair("seed", summary.seed.to_string()),
    ]
}

fn section(title: &str, blocks: Vec<Block>) -> Section {
    Section { title: title.into(), blocks }
}

fn block(figure: Result<Figure, abduce_report::FigureError>, what: &str, caption: &str) -> Result<Block, PresentError> {
    let figure = figure.map_err(|source| PresentError::Figure { figure: what.into(), source })?;
    Ok(Block::Figure { figure, caption: caption.into(), width: Width::Full })
}
