"""The crash matrix: an operator that dies at any write, or is lied to, ends where it should.

    make crash-matrix            # all of it; the counts are printed
    python -m kube.crash --lives succeeds --modes before

A *life* is what a user and a cluster do to a pipeline. It is led once undisturbed, which gives its
writes and its end state: the reference. Then it is led again for every write and every way to die
there, and once for every way in which a picture can go wrong. Each time the end must be the same.

Real: etcd, API server, controllers, scheduler, and the operator with all of its parts, kopf
included. Played: KubeRay, nodes and pods. Operators run in this process and not in one of their
own, a start of which would cost more than all the rest: one that is "killed" is cut off from the
API server first, so nothing that it does while it is being taken down counts. Some cases are also
run with processes and SIGKILL (see tests/kube/test_crash.py).
"""
