"""Manifests made from the CRDs' own schema and changed step by step: `python -m kube.mutation`.

`values` makes them, `edits` changes them, `judges` asks the API server and the models, and `life`
leads what was accepted through the operator's decisions.
"""
