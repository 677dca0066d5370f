"""What is done to Lance datasets: create, commit exactly once, evolve."""
