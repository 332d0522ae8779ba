"""Experts: policies that master one task in simulation, learned by PPO."""
