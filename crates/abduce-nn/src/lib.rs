//! Networks as static graphs over one arena, flat parameters, optimisers and the trainer.
