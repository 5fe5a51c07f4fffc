//! Amortised inference with generative models in science: the facade library and the program.
