"""Records what diffusers' schedulers make of random inputs, for test_diffusers.py.

Needs torch and diffusers, which the project does not: run it in an environment of its own.
Made with diffusers 0.42.1, torch 2.13.0. Command: python tests/controller/make_diffusers_fixture.py
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler

FOLDER = Path(__file__).parent
SHAPE = (2, 8, 3)
TRAINED, SAMPLED = 100, 10  # diffusion steps; diffusers counts them from 0, where we count from 1
COMMON = dict(num_train_timesteps=TRAINED, beta_schedule="squaredcos_cap_v2", clip_sample=False)


def steps(scheduler: object, noises: np.ndarray, stride: int, call: object) -> dict[str, np.ndarray]:
    """One step at each of the scheduler's timesteps, from random motions and random noise estimates."""
    rows = {"step": [], "next_step": [], "noisy": [], "noise": [], "fresh": [], "result": []}
    random = np.random.default_rng(0)
    for t, fresh in zip(scheduler.timesteps.tolist(), noises, strict=True):
        noisy, noise = random.standard_normal((2, *SHAPE)).astype(np.float32)
        result = call(torch.tensor(noise), t, torch.tensor(noisy), torch.tensor(fresh)).prev_sample
        row = (t + 1, max(t + 1 - stride, 0), noisy, noise, fresh, result.numpy())
        for name, value in zip(rows, row, strict=True):
            rows[name].append(value)
    return {name: np.stack(values) for name, values in rows.items()}


def main() -> None:
    """Writes diffusers.npz beside this file."""
    found = {}
    for eta in (0.0, 0.5, 1.0):
        ddim = DDIMScheduler(set_alpha_to_one=True, **COMMON)
        ddim.set_timesteps(SAMPLED)
        fresh = np.random.default_rng(1).standard_normal((SAMPLED, *SHAPE)).astype(np.float32)

        def step(noise: torch.Tensor, t: int, noisy: torch.Tensor, fresh: torch.Tensor, eta: float = eta, of=ddim):
            return of.step(noise, t, noisy, eta=eta, variance_noise=fresh if eta else None)

        rows = steps(ddim, fresh, TRAINED // SAMPLED, step)
        found |= {f"ddim_{eta:g}/{name}": value for name, value in rows.items()}

    ddpm = DDPMScheduler(variance_type="fixed_small", **COMMON)
    ddpm.set_timesteps(TRAINED)
    # DDPMScheduler draws by itself: the same seed gives the numbers it drew. Its last step, t = 0, draws nothing.
    drawn = [torch.randn(SHAPE, generator=torch.Generator().manual_seed(t)) for t in ddpm.timesteps.tolist()]

    def step(noise: torch.Tensor, t: int, noisy: torch.Tensor, fresh: torch.Tensor):
        return ddpm.step(noise, t, noisy, generator=torch.Generator().manual_seed(t))

    found |= {f"ddpm/{name}": value for name, value in steps(ddpm, torch.stack(drawn).numpy(), 1, step).items()}
    found["alpha_bar"] = np.concatenate([[1.0], ddpm.alphas_cumprod.numpy()]).astype(np.float32)
    np.savez_compressed(FOLDER / "diffusers.npz", **found)


if __name__ == "__main__":
    main()
