"""The user's code on its way to every process of a run.

    archive.py       a zip, made the same each time and unpacked with suspicion
    cache.py         folders of this machine that are made once, whoever asks first
    requirements.py  packages, installed beside the environment and never into it
    provide.py       what a manifest asks for, as folders of this machine
    packaging.py     local files into a zip, and the zip to its place
    fill_in.py       its address and hash into the manifest, whose comments stay

docs/decisions/0022-code-by-its-hash.md tells why Ray's runtime environments are not used.
"""
