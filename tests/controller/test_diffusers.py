"""Our steps against those of diffusers, recorded by make_diffusers_fixture.py."""

from pathlib import Path

import numpy as np
import pytest

from dexgen_jax.controller import diffusion

RECORDED = np.load(Path(__file__).parent / "diffusers.npz")
SCHEDULE = diffusion.cosine_schedule(100)


def test_the_schedule_is_theirs():
    ours = np.asarray(SCHEDULE.alpha_bar)
    np.testing.assert_allclose(ours, RECORDED["alpha_bar"], atol=2e-7)
    # Beyond step 97, where no sampler of ours begins, they round 1 - 0.999 in float32.
    np.testing.assert_allclose(ours[:98], RECORDED["alpha_bar"][:98], rtol=1e-6)


@pytest.mark.parametrize(("name", "eta"), [("ddim_0", 0.0), ("ddim_0.5", 0.5), ("ddim_1", 1.0), ("ddpm", 1.0)])
def test_a_step_is_theirs(name, eta):
    rows = [RECORDED[f"{name}/{key}"] for key in ("step", "next_step", "noisy", "noise", "fresh", "result")]
    assert len(rows[0]) == (100 if name == "ddpm" else 10)
    for step, then, noisy, noise, fresh, result in zip(*rows, strict=True):
        clean = diffusion.clean_estimate(SCHEDULE, noisy, noise, step)
        ours = diffusion.ddim_step(SCHEDULE, noisy, clean, step, then, fresh if eta else None, eta)
        np.testing.assert_allclose(ours, result, rtol=1e-5, atol=1e-5, err_msg=f"from {step} to {then}")
