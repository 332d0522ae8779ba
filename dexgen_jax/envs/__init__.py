"""Tasks with the Brax Env API: `reset(rng)`, `step(state, action)`."""
