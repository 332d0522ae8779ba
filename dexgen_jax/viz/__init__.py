"""Pictures and films of hands, on machines without a screen or a graphics driver."""
