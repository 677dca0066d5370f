"""A played pod's address is one that everybody can reach, the API server's proxy included."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address

import pytest

from kube.addresses import NoAddress, PodAddresses, pod_addresses
from kube.control_plane import ControlPlane
from kube.rest import resource


class Dashboard(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"played"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_the_api_servers_proxy_reaches_a_played_pod(
    control_plane: ControlPlane, addresses: PodAddresses, namespace: str
) -> None:
    rest, address = control_plane.rest(), addresses.take()
    with HTTPServer((address, 0), Dashboard) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        spec = {"nodeName": "played", "containers": [{"name": "a", "image": "b"}]}
        pods = resource("v1", "pods", namespace)
        rest.create(pods, {"metadata": {"name": "head"}, "spec": spec})
        found = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        rest.merge(f"{pods}/head/status", {"status": found})

        answer = rest.answer("GET", f"{pods}/head:{server.server_port}/proxy/")

        server.shutdown()
        thread.join(timeout=60)
    addresses.give_back(address)
    assert answer == (200, "played")


def test_two_that_ask_at_once_get_different_addresses_unless_there_is_but_one(
    addresses: PodAddresses,
) -> None:
    with pod_addresses() as others:
        assert not ip_address(others.free[0]).is_loopback
        assert bool(set(addresses.free) & set(others.free)) == addresses.shared


def test_an_address_can_be_bound_and_connected_to(addresses: PodAddresses) -> None:
    address = addresses.take()
    with (
        socket.create_server((address, 0)) as server,
        socket.create_connection(server.getsockname(), timeout=60) as client,
    ):
        assert client.getpeername() == server.getsockname()
    addresses.give_back(address)


def test_an_address_is_not_handed_out_again_before_it_is_given_back() -> None:
    addresses = PodAddresses(["198.18.0.1"], shared=False)
    address = addresses.take()
    with pytest.raises(NoAddress):
        addresses.take()

    addresses.give_back(address)

    assert addresses.take() == address
