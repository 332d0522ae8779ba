"""dexgen_jax: dexterous manipulation from grasps to an assisted operator, in the order in which the data flows."""

__version__ = "0.1.0"
