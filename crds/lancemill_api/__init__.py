"""The API of Lancemill: models of both resources, their checks, the CRD generator."""
