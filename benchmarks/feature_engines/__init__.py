"""The customer features of benchmarks/features.py, by each engine: `compute(lines, result, as_of)`."""
