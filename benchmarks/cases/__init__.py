"""One case is one fresh process: `python -m benchmarks.cases.<name> --input DIR --out DIR`."""
