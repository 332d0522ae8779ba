"""Physics as one pure function of arrays, on the CPU, a GPU or a TPU."""
