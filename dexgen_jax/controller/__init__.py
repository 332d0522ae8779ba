"""The controller: a diffusion model of what hands do next, pulled toward a command and turned into joint targets."""
