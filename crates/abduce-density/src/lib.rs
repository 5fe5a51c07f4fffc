//! Conditional density estimators: mixtures and normalizing flows that can be sampled and scored.
