"""Grasps: found, closed, tested in physics, stored, and joined into a graph of goals."""
