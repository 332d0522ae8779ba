"""From a trained controller to a robot: files that run elsewhere, a server, and a loop that keeps its deadlines."""
