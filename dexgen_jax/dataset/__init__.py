"""Recordings of hands at work: made, stored, and cut into what the controller learns from."""
