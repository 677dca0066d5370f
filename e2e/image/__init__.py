"""Images without a container engine: the Dockerfiles themselves are followed, step by step.

Where there is no Docker, what runs in pods is still what `docker build` would install: the same
instructions, in the same order, on a base that debootstrap makes. There is no second recipe.
"""
