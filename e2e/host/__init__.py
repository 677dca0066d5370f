"""A real node on this machine, in namespaces of its own: kubelet, containerd, DNS and proxy."""
