//! The frame planner on random graphs: values, buffer reuse and gradients against a plain f64 interpreter of the same recipe.

use abduce_data::{Rng, Seed};
use abduce_kernels::Simd;
use abduce_kernels::elementwise::Activation;
use abduce_kernels::transpose::features_from_rows;
use abduce_nn::layer::{Backward, Forward, pass_on};
use abduce_nn::layers::{Activate, Add, Gather, Linear};
use abduce_nn::{Frame, Graph, GraphBuilder, Layer, Layout, Purpose, Value};
use std::sync::Arc;

/// x → (2x, x²): a layer with two outputs, either of which a graph may leave unread.
#[derive(Clone, Copy, Debug)]
struct DoubleAndSquare;

impl Layer for DoubleAndSquare {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![inputs[0], inputs[0]]
    }

    fn saved_per_lane(&self) -> usize {
        1
    }

    fn scratch_per_lane(&self) -> usize {
        3
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let x = at.inputs.get(0);
        let [double, square] = at.outputs else { unreachable!("two outputs") };
        double.iter_mut().zip(x).for_each(|(y, x)| *y = 2.0 * x);
        square.iter_mut().zip(x).for_each(|(y, x)| *y = x * x);
        // What another layer finds here must not matter.
        at.scratch.fill(f32::NAN);
        at.saved[..at.lanes].copy_from_slice(&x[..at.lanes]);
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (x, lanes) = (at.inputs.get(0), at.lanes);
        assert_eq!(at.saved[..lanes], x[..lanes], "saved memory is kept until backward");
        let (double, square) = (at.grad_outputs.get(0), at.grad_outputs.get(1));
        if let Some(slot) = &mut at.grad_inputs[0] {
            let own: Vec<f32> = (0..x.len()).map(|i| 2.0 * double[i] + 2.0 * x[i] * square[i]).collect();
            pass_on(at.simd, &own, &mut slot.data, slot.update);
        }
    }
}

/// One layer of a random graph; numbers are values, the graph's inputs first.
#[derive(Clone, Debug)]
enum Op {
    Gather(usize, Vec<usize>),
    Add(usize, usize),
    Activate(usize, Activation),
    Linear(Vec<usize>, usize),
    DoubleAndSquare(usize),
}

#[derive(Debug)]
struct Recipe {
    inputs: Vec<usize>,
    ops: Vec<Op>,
    outputs: Vec<usize>,
    features: Vec<usize>,
}

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.below(from.len())].clone()
}

impl Recipe {
    fn random(rng: &mut Rng) -> Self {
        let inputs: Vec<usize> = (0..1 + rng.below(3)).map(|_| 1 + rng.below(6)).collect();
        let mut features = inputs.clone();
        let mut ops = Vec::new();
        for _ in 0..2 + rng.below(12) {
            let known = features.len();
            let x = rng.below(known);
            match rng.below(6) {
                0 => {
                    let chosen: Vec<usize> = (0..1 + rng.below(5)).map(|_| rng.below(features[x])).collect();
                    features.push(chosen.len());
                    ops.push(Op::Gather(x, chosen));
                }
                1 => {
                    let same: Vec<usize> = (0..known).filter(|&v| v != x && features[v] == features[x]).collect();
                    if !same.is_empty() {
                        features.push(features[x]);
                        ops.push(Op::Add(x, pick(rng, &same)));
                    }
                }
                2 => {
                    let f = pick(rng, &[Activation::Tanh, Activation::Silu, Activation::Relu, Activation::Sigmoid, Activation::Softplus]);
                    features.push(features[x]);
                    ops.push(Op::Activate(x, f));
                }
                3 => {
                    features.extend([features[x]; 2]);
                    ops.push(Op::DoubleAndSquare(x));
                }
                _ => {
                    let mut order: Vec<usize> = (0..known).collect();
                    rng.shuffle(&mut order);
                    order.truncate(1 + rng.below(known.min(3)));
                    features.push(1 + rng.below(20));
                    ops.push(Op::Linear(order, features[features.len() - 1]));
                }
            }
        }
        // Any computed values, intermediate ones too, each once; the last is always among them.
        let mut outputs: Vec<usize> = (inputs.len()..features.len() - 1).filter(|_| rng.below(5) == 0).collect();
        if features.len() > inputs.len() {
            outputs.push(features.len() - 1);
        }
        Self { inputs, ops, outputs, features }
    }

    fn build(&self, layout: &mut Layout) -> Arc<Graph> {
        let mut g = GraphBuilder::new(layout);
        let mut values: Vec<Value> = self.inputs.iter().map(|&f| g.input(f)).collect();
        for (k, op) in self.ops.iter().enumerate() {
            match op {
                Op::Gather(x, features) => values.push(g.apply(Gather { features: features.clone() }, &[values[*x]])),
                Op::Add(a, b) => values.push(g.apply(Add, &[values[*a], values[*b]])),
                Op::Activate(x, f) => values.push(g.apply(Activate(*f), &[values[*x]])),
                Op::DoubleAndSquare(x) => {
                    let outputs = g.apply_many(DoubleAndSquare, &[values[*x]]);
                    values.extend(outputs);
                }
                Op::Linear(xs, out) => {
                    let inputs: Vec<Value> = xs.iter().map(|&x| values[x]).collect();
                    values.push(Linear::apply(&mut g, &k.to_string(), &inputs, *out));
                }
            }
        }
        let outputs: Vec<Value> = self.outputs.iter().map(|&v| values[v]).collect();
        Arc::new(g.finish(&outputs))
    }

    /// All values of one row.
    fn interpret(&self, params: &[f64], inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut values = inputs.to_vec();
        let mut start = 0;
        for op in &self.ops {
            match op {
                Op::Gather(x, features) => values.push(features.iter().map(|&f| values[*x][f]).collect()),
                Op::Add(a, b) => values.push(values[*a].iter().zip(&values[*b]).map(|(a, b)| a + b).collect()),
                Op::Activate(x, f) => values.push(values[*x].iter().map(|&v| activation(*f, v)).collect()),
                Op::DoubleAndSquare(x) => {
                    let x = values[*x].clone();
                    values.push(x.iter().map(|v| 2.0 * v).collect());
                    values.push(x.iter().map(|v| v * v).collect());
                }
                Op::Linear(xs, out) => {
                    let x: Vec<f64> = xs.iter().flat_map(|&x| values[x].clone()).collect();
                    let (weight, rest) = params[start..].split_at(out * x.len());
                    let row = |o: usize| weight[o * x.len()..][..x.len()].iter().zip(&x).map(|(w, x)| w * x).sum::<f64>();
                    values.push((0..*out).map(|o| rest[o] + row(o)).collect());
                    start += out * (x.len() + 1);
                }
            }
        }
        values
    }
}

fn activation(f: Activation, x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match f {
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
        Activation::Silu => x * sigmoid,
        Activation::Sigmoid => sigmoid,
        Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        other => unreachable!("{other:?} is not drawn"),
    }
}

/// A random graph with data for `rows` rows and a weight for each output element.
struct Trial {
    recipe: Recipe,
    graph: Arc<Graph>,
    params: Vec<f32>,
    rows: usize,
    /// Per input (rows, features).
    x: Vec<Vec<f32>>,
    /// Per output (rows, features): the loss is Σ weight · output.
    weights: Vec<Vec<f32>>,
}

impl Trial {
    fn new(index: u64, rows: usize) -> Self {
        let mut rng = Seed(17).stream("graph", index);
        let recipe = Recipe::random(&mut rng);
        let mut layout = Layout::new();
        let graph = recipe.build(&mut layout);
        let params = layout.initialise(Seed(index));
        let mut table = |features: usize, scale: f64| (0..rows * features).map(|_| (scale * rng.normal()) as f32).collect();
        let x = recipe.inputs.iter().map(|&f| table(f, 0.7)).collect();
        let weights = recipe.outputs.iter().map(|&v| table(recipe.features[v], 1.0)).collect();
        Self { recipe, graph, params, rows, x, weights }
    }

    fn fill(&self, frame: &mut Frame) {
        frame.begin(self.rows);
        let lanes = frame.lanes();
        for (i, &f) in self.recipe.inputs.iter().enumerate() {
            features_from_rows(&self.x[i], self.rows, f, frame.input_mut(i), lanes);
        }
    }

    /// Forward, then every output row-major.
    fn forward(&self, frame: &mut Frame) -> Vec<Vec<f32>> {
        self.fill(frame);
        frame.forward(Simd::best(), &self.params);
        let lanes = frame.lanes();
        let table = |k: usize| {
            let width = self.recipe.features[self.recipe.outputs[k]];
            let value = frame.output(k);
            assert_eq!(value.len(), width * lanes);
            (0..self.rows * width).map(|p| value[p % width * lanes + p / width]).collect()
        };
        (0..self.recipe.outputs.len()).map(table).collect()
    }

    /// Gradients by parameters and by each input (`None` where no output depends on it, or they are not kept), after `forward`.
    fn backward(&self, frame: &mut Frame) -> (Vec<f32>, Vec<Option<Vec<f32>>>) {
        let lanes = frame.lanes();
        for (k, weights) in self.weights.iter().enumerate() {
            let width = self.recipe.features[self.recipe.outputs[k]];
            features_from_rows(weights, self.rows, width, frame.output_gradient_mut(k), lanes);
        }
        let mut gradient = vec![0.0; self.params.len()];
        frame.backward(Simd::best(), &self.params, Some(&mut gradient));
        let inputs = self.recipe.inputs.iter().enumerate().map(|(i, &width)| {
            let value = frame.input_gradient(i)?;
            Some((0..self.rows * width).map(|p| value[p % width * lanes + p / width]).collect())
        });
        (gradient, inputs.collect())
    }

    fn row(&self, row: usize) -> Vec<Vec<f64>> {
        let part = |(x, &f): (&Vec<f32>, &usize)| x[row * f..(row + 1) * f].iter().map(|&v| f64::from(v)).collect();
        self.x.iter().zip(&self.recipe.inputs).map(part).collect()
    }

    fn loss_of_row(&self, params: &[f64], inputs: &[Vec<f64>], row: usize) -> f64 {
        let values = self.recipe.interpret(params, inputs);
        let part = |(&v, weights): (&usize, &Vec<f32>)| -> f64 {
            let width = values[v].len();
            values[v].iter().zip(&weights[row * width..]).map(|(y, w)| y * f64::from(*w)).sum()
        };
        self.recipe.outputs.iter().zip(&self.weights).map(part).sum()
    }
}

const GRAPHS: u64 = 300;

#[test]
fn values_are_those_of_the_recipe_with_and_without_buffer_reuse() {
    for index in 0..GRAPHS {
        let trial = Trial::new(index, 21);
        let [evaluated, trained, kept] = [Purpose::Evaluate, Purpose::Train, Purpose::InputGradients].map(|purpose| {
            let mut frame = Frame::new(&trial.graph, purpose, 30);
            let first = trial.forward(&mut frame);
            assert_eq!(first, trial.forward(&mut frame), "graph {index}: a second pass differs, {:?}", trial.recipe);
            first
        });
        assert!(evaluated == trained && trained == kept, "graph {index}: purposes differ, {:?}", trial.recipe);
        let params: Vec<f64> = trial.params.iter().map(|&p| f64::from(p)).collect();
        for row in 0..trial.rows {
            let values = trial.recipe.interpret(&params, &trial.row(row));
            for (k, &v) in trial.recipe.outputs.iter().enumerate() {
                let width = values[v].len();
                let size = values.iter().flatten().fold(1.0f64, |m, v| m.max(v.abs()));
                for (f, want) in values[v].iter().enumerate() {
                    let got = f64::from(evaluated[k][row * width + f]);
                    // A dozen layers of f32 rounding, relative to the largest value on the way.
                    assert!((got - want).abs() < 1e-5 * size, "graph {index}: {got} instead of {want}, {:?}", trial.recipe);
                }
            }
        }
    }
}

/// ‖Δg‖/‖g‖ ≤ 1e-4 against central differences of the interpreter.
#[test]
fn gradients_are_those_of_the_recipe() {
    const STEP: f64 = 1e-7;
    for index in 0..GRAPHS {
        let trial = Trial::new(index, 3);
        let mut frame = Frame::new(&trial.graph, Purpose::InputGradients, 3);
        trial.forward(&mut frame);
        let (by_params, by_inputs) = trial.backward(&mut frame);

        let compare = |what: &str, got: &[f32], want: &[f64]| {
            let error: f64 = got.iter().zip(want).map(|(g, w)| (f64::from(*g) - w).powi(2)).sum();
            let norm: f64 = want.iter().map(|w| w * w).sum();
            // Differences of losses of size 10 at steps of 1e-7 are exact to 1e-7 at best.
            assert!(error.sqrt() <= 1e-4 * norm.sqrt() + 2e-6, "graph {index}: {what} errs by {:.1e}, {:?}", error.sqrt(), trial.recipe);
        };
        let mut params: Vec<f64> = trial.params.iter().map(|&p| f64::from(p)).collect();
        let want: Vec<f64> = (0..params.len())
            .map(|p| {
                let centre = params[p];
                let mut at = |value: f64| {
                    params[p] = value;
                    (0..trial.rows).map(|row| trial.loss_of_row(&params, &trial.row(row), row)).sum::<f64>()
                };
                let slope = (at(centre + STEP) - at(centre - STEP)) / (2.0 * STEP);
                at(centre);
                slope
            })
            .collect();
        compare("parameters", &by_params, &want);
        for (i, &width) in trial.recipe.inputs.iter().enumerate() {
            let slope = |p: usize| {
                let (row, f) = (p / width, p % width);
                let at = |delta: f64| {
                    let mut inputs = trial.row(row);
                    inputs[i][f] += delta;
                    trial.loss_of_row(&params, &inputs, row)
                };
                (at(STEP) - at(-STEP)) / (2.0 * STEP)
            };
            let want: Vec<f64> = (0..trial.rows * width).map(slope).collect();
            match &by_inputs[i] {
                Some(got) => compare("input", got, &want),
                None => assert!(want.iter().all(|&w| w == 0.0), "graph {index}: input {i} has no gradient, {:?}", trial.recipe),
            }
        }
    }
}

/// Dropping input gradients must not change the others, nor must the chunks that a frame held before.
#[test]
fn parameter_gradients_do_not_depend_on_purpose_or_history() {
    for index in 0..GRAPHS {
        let [small, large, other] = [5, 64, 33].map(|rows| Trial::new(index, rows));
        let gradient = |frame: &mut Frame, trial: &Trial| {
            trial.forward(frame);
            trial.backward(frame).0
        };
        let fresh = |purpose, trial: &Trial| gradient(&mut Frame::new(&trial.graph, purpose, 64), trial);
        let want = fresh(Purpose::Train, &small);
        assert_eq!(want, fresh(Purpose::InputGradients, &small), "graph {index}: {:?}", small.recipe);
        let mut used = Frame::new(&small.graph, Purpose::Train, 64);
        gradient(&mut used, &large);
        gradient(&mut used, &other);
        assert_eq!(want, gradient(&mut used, &small), "graph {index}: {:?}", small.recipe);
    }
}
