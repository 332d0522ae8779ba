"""What guided sampling should give and does give where all is known: a normal prior and a command, in one dimension.

The exact denoiser of a normal prior is linear, and so is the pull of a squared distance: mean and variance of the
samples follow from step to step without drawing any. A prior with correlations is this along each of its axes.
`python tests/controller/closed_form.py` prints the tables of docs/guidance.md.
"""

import numpy as np

from dexgen_jax.controller import diffusion

SCHEDULE = diffusion.cosine_schedule(100)
ALL_STEPS = np.arange(100, -1, -1)
COMMAND = 2.0  # standard deviations of the offsets; the prior's mean is 0


def product(variance: float, strength: float) -> tuple[float, float]:
    """Mean and standard deviation of N(0, variance) times N(COMMAND, 1 / strength)."""
    precision = 1 / variance + strength
    return strength * COMMAND / precision, precision**-0.5


def sampled(steps: np.ndarray, variance: float, strength: float, eta: float) -> tuple[float, float]:
    """Mean and standard deviation of guided samples of the prior N(0, variance)."""
    signal = np.asarray(SCHEDULE.alpha_bar, np.float64)[steps]
    mean, spread = 0.0, 1.0
    for now, then in zip(signal[:-1], signal[1:], strict=True):
        gain = variance * np.sqrt(now) / (variance * now + 1 - now)  # clean estimate = gain x noisy
        share = strength * (1 - now) / (1 + strength * (1 - now))  # of the way to the command, see guidance.pull
        fresh = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
        kept = np.sqrt(max(1 - then - fresh, 0.0) / (1 - now))
        of_clean = np.sqrt(then) - kept * np.sqrt(now)
        factor = of_clean * (1 - share) * gain + kept
        mean = factor * mean + of_clean * share * COMMAND
        spread = factor**2 * spread + fresh
    return mean, np.sqrt(spread)


def main() -> None:
    """Prints, for each prior and strength, the product and what each sampler makes of it."""
    ways = {"DDPM, 100 steps": (ALL_STEPS, 1.0), "DDIM, 100 steps": (ALL_STEPS, 0.0)}
    ways |= {f"DDIM, {n} steps": (diffusion.ddim_steps(SCHEDULE, n), 0.0) for n in (12, 8)}
    print("| prior std | λ | exact |", " | ".join(ways), "|\n|" + "---|" * (3 + len(ways)))
    for variance in (1.0, 0.1, 0.01):
        for strength in (0.0, 0.03, 0.15, 0.6, 3.0, 30.0, 1e3):
            cells = [product(variance, strength)] + [sampled(s, variance, strength, eta) for s, eta in ways.values()]
            told = " | ".join(f"{mean:.2f} ± {std:.3f}" for mean, std in cells)
            print(f"| {variance**0.5:.2g} | {strength:g} | {told} |")


if __name__ == "__main__":
    main()
