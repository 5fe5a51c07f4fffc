"""step_fixture.py OUT.npz --workload W1|W2 [--seed S] [--steps N]: one workload with its exact gradients, for tests of the native engine.

--small HIDDEN BATCH makes the committed test fixtures: a narrower network and a smaller batch, and only input.*, loss64, logq64, and all
parameters and gradients as two flat vectors `param` and `grad64` (rounded to float32) in the order of torch's named_parameters:
  step_fixture.py crates/abduce-density/tests/fixtures/w1.npz --workload W1 --small 8 20
  step_fixture.py crates/abduce-density/tests/fixtures/w2.npz --workload W2 --small 6 20

Arrays, all C order, plain names, stored without compression:
  input.x (200, d) and, for W2, input.context (200, 10)      float32
  param.NAME                                                 float32, names and shapes of torch (W1: zero where masked)
  mask.NAME                                                  float32, W1 only
  loss64 (1), logq64 (200)                                   float64: the float32 numbers above, computed in float64
  loss32 (1), logq32 (200)                                   float32 computation
  grad64.NAME, grad32.NAME                                   gradients of the mean loss in both precisions
  grad64.input.x, grad64.input.context                       the same with respect to the inputs
  stage64.I.out (200, d), stage64.I.logdet (200)             after every transform, to find where two programs part
  adam64.NAME, trajectory64 (N + 1)                          parameters after N Adam steps on this batch (lr 5e-4, betas 0.9, 0.999,
                                                             eps 1e-8, no clipping) and the losses before, between and after them
Formulae: workloads.py. With --check-sbi the W2 module is compared with the one sbi 0.27 builds (same names, shapes and density).
"""

import argparse
import copy

import numpy as np
import torch

import workloads


def gradients(model, x, context):
    """Loss, log q, parameter gradients and input gradients in the precision of the model."""
    x = x.clone().requires_grad_(True)
    context = None if context is None else context.clone().requires_grad_(True)
    model.zero_grad()
    logq = model(x, context)
    loss = -logq.mean()
    loss.backward()
    named = {name: p.grad.clone() for name, p in workloads.parameter_names(model)}
    named["input.x"] = x.grad
    if context is not None:
        named["input.context"] = context.grad
    return loss.detach(), logq.detach(), named


def double(model):
    """The same model in float64, constants included."""
    wide = copy.deepcopy(model).double()
    if isinstance(wide, workloads.Nsf):
        # sbi keeps the base's ½ d ln 2π in float32; converting it back would leave its rounding in.
        wide.flow._distribution._log_z.fill_(workloads.W2_FEATURES * workloads.HALF_LOG_2PI)
    return wide


def adam(model, x, context, steps):
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-4)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = -model(x, context).mean()
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        losses.append(-model(x, context).mean().item())
    return np.array(losses)


def check_against_sbi(model, x, context):
    from sbi.neural_nets.net_builders.flow import build_nsf

    theirs = build_nsf(x, context, z_score_x="none", z_score_y="none")
    state = {"net." + name: p for name, p in workloads.parameter_names(model)}
    own = {name for name, _ in theirs.named_parameters()}
    if set(state) != own:
        raise SystemExit(f"sbi builds another model: {sorted(set(state) ^ own)}")
    theirs.load_state_dict(state, strict=False)
    gap = (theirs.log_prob(x[None], context)[0] - model(x, context)).abs().max().item()
    print(f"same parameters as sbi's build_nsf; largest difference of log q {gap:.1e}")
    if gap > 1e-5:
        raise SystemExit("the densities differ")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--workload", choices=["W1", "W2"], required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--check-sbi", action="store_true")
    parser.add_argument("--small", nargs=2, type=int, metavar=("HIDDEN", "BATCH"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.small:
        workloads.W1_HIDDEN = workloads.W2_HIDDEN = args.small[0]
        workloads.BATCH = args.small[1]

    model, x, context = workloads.build(args.workload, args.seed)
    if args.check_sbi and args.workload == "W2":
        check_against_sbi(model, x, context)
    arrays = {"input.x": x}
    if context is not None:
        arrays["input.context"] = context
    for name, p in workloads.parameter_names(model):
        arrays[f"param.{name}"] = p.detach()
    arrays |= {f"mask.{name.removesuffix('.mask')}.weight": b for name, b in model.named_buffers() if name.endswith(".mask")}

    loss32, logq32, grad32 = gradients(model, x, context)
    wide = double(model)
    x64, context64 = x.double(), None if context is None else context.double()
    loss64, logq64, grad64 = gradients(wide, x64, context64)
    arrays |= {"loss32": loss32, "logq32": logq32, "loss64": loss64, "logq64": logq64}
    arrays |= {f"grad32.{n}": g for n, g in grad32.items() if not n.startswith("input.")}
    arrays |= {f"grad64.{n}": g for n, g in grad64.items()}
    with torch.no_grad():
        for i, (out, logdet) in enumerate(wide.stages(x64, context64)):
            arrays[f"stage64.{i}.out"], arrays[f"stage64.{i}.logdet"] = out, logdet

    worst = ("", 0.0)
    for name, g in grad64.items():
        if g.norm() == 0:
            raise SystemExit(f"{name}: the gradient is zero, this fixture would test nothing there")
        error = ((grad32[name].double() - g).norm() / g.norm()).item()
        worst = max(worst, (name, error), key=lambda pair: pair[1])
    arrays["trajectory64"] = adam(wide, x64, context64, args.steps)
    arrays |= {f"adam64.{n}": p.detach() for n, p in workloads.parameter_names(wide)}

    if args.small:
        names = [name for name, _ in workloads.parameter_names(model)]
        small = {n: a for n, a in arrays.items() if n.startswith("input.") or n in ("loss64", "logq64")}
        for kind in ("param", "grad64"):
            small[kind] = np.concatenate([np.ravel(arrays[f"{kind}.{name}"]) for name in names]).astype(np.float32)
        np.savez_compressed(args.out, **small)
    else:
        np.savez(args.out, **{n: np.ascontiguousarray(a) for n, a in arrays.items()})
    print(
        f"{args.workload}: {sum(p.numel() for p in model.parameters())} parameters, loss {loss64.item():.9f} "
        f"(float32 {loss32.item() - loss64.item():+.1e}); largest relative error of a float32 gradient {worst[1]:.1e} ({worst[0]}); "
        f"loss after {args.steps} steps {arrays['trajectory64'][-1]:.9f}"
    )
    if args.workload == "W2":
        outside = [(arrays[f"stage64.{i - 1}.out"] if i else x).abs().gt(workloads.W2_BOUND).double().mean().item() for i in range(0, 10, 2)]
        print("share of coupling inputs outside the spline's interval:", " ".join(f"{v:.3f}" for v in outside))


if __name__ == "__main__":
    main()
