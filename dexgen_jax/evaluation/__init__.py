"""Does the controller help? Operators to be helped, drops counted with intervals, and a report."""
