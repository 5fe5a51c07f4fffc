//! Loss per epoch.

use crate::draw::{Dash, font::Fonts};
use crate::error::{FigureError, finite, finite_of_length, some};
use crate::figure::Figure;
use crate::plot::{Axis, Layer, Plot, Tone};
use crate::sheet::{Columns, Sheet};

/// The history of one net.
#[derive(Debug, Clone, PartialEq)]
pub struct NetHistory {
    /// Name, for instance `net 0: nsf`.
    pub name: String,
    /// Training loss, one per epoch.
    pub train: Vec<f64>,
    /// Validation loss, as many.
    pub validation: Vec<f64>,
    /// Epoch whose weights were kept, counted from 0.
    pub best_epoch: usize,
}

/// Training (thin, dotted) and validation loss (continuous) of one or several nets, the epoch that was kept marked by a disc.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingCurves {
    /// Title.
    pub title: String,
    /// What the loss is, for instance `-\log q(\theta|x)`.
    pub loss: String,
    /// The nets.
    pub nets: Vec<NetHistory>,
}

impl TrainingCurves {
    /// Draws the figure. The vertical axis leaves out the steep first epochs where they would flatten all the rest.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        some("nets", &self.nets)?;
        let mut layers = Vec::new();
        let mut losses = Vec::new();
        for (index, net) in self.nets.iter().enumerate() {
            finite(&format!("{}: training loss", net.name), &net.train)?;
            finite_of_length(&format!("{}: validation loss", net.name), &net.validation, net.train.len())?;
            let Some(best) = net.validation.get(net.best_epoch) else {
                return Err(FigureError::OutOfRange {
                    what: format!("{}: best epoch", net.name),
                    value: net.best_epoch as f64,
                    must: "smaller than the number of epochs",
                });
            };
            let epochs: Vec<f64> = (1..=net.train.len()).map(|epoch| epoch as f64).collect();
            let tone = Tone::Series(index);
            layers.push(Layer::Line { name: None, x: epochs.clone(), y: net.train.clone(), tone, dash: Dash::Dotted });
            layers.push(Layer::Line { name: Some(net.name.clone()), x: epochs, y: net.validation.clone(), tone, dash: Dash::Solid });
            layers.push(Layer::Points {
                name: None,
                x: vec![net.best_epoch as f64 + 1.0],
                y: vec![*best],
                x_error: None,
                y_error: None,
                tone,
            });
            losses.extend(net.train.iter().chain(&net.validation).copied());
        }
        let plot = Plot {
            x: Axis::linear("epoch"),
            y: Axis { label: self.loss.clone(), limits: settled(&mut losses), ..Axis::default() },
            layers,
            ..Plot::default()
        };
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: "continuous: validation  ·  dotted: training  ·  disc: epoch kept".to_owned(),
            per_row: 1,
            panel_width: 520.0,
            row_heights: vec![300.0],
            columns: Columns::Separate,
            plots: vec![plot],
        };
        let description = format!("Training and validation loss per epoch of {} net(s), with the epoch that was kept", self.nets.len());
        Ok(Figure::new(&self.title, description, sheet.draw(&Fonts::embedded()?)?))
    }
}

/// Axis ends that cut the first descent: when the worst loss lies more than twice as far above the best as the 90 % quantile does.
fn settled(losses: &mut [f64]) -> Option<[f64; 2]> {
    losses.sort_by(f64::total_cmp);
    let (low, high) = (losses.first()?, losses.last()?);
    let typical = losses[(losses.len() - 1) * 9 / 10];
    let reach = low + 2.0 * (typical - low);
    (losses.len() >= 10 && *high > reach && reach > *low).then(|| [low - 0.05 * (reach - low), reach])
}

#[cfg(test)]
mod tests {
    use super::settled;

    #[test]
    fn a_wild_first_epoch_does_not_flatten_the_curve() {
        let mut losses: Vec<f64> = (0..60).map(|epoch| 1.0 + 1.0 / f64::from(epoch + 1)).collect();
        assert_eq!(settled(&mut losses[5..].to_vec()).map(|limits| limits[1] < 1.2), Some(true));
        losses[0] = 1e6;
        assert!(settled(&mut losses).unwrap()[1] < 3.0);
        assert_eq!(settled(&mut [1.0, 2.0]), None);
    }
}
