"""Image kernels: bytes in, pixels out; no IO but decoding."""
