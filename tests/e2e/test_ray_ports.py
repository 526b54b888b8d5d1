"""Every port of Ray's: whoever has not the token is refused, on each, whatever he sends."""

import os
import pickle
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

METHODS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    # Serve's port for calls between deployments: it is bound to every address, and cannot be told otherwise.
    "/ray.serve.ASGIService/HandleRequest",
)
RAYS_OWN = ("gcs_server", "raylet", "ray::", "python")
ANSWER_S = 5


def ports_of(copy: Any) -> dict[int, str]:
    """Every listening port of the copy's processes, and whose it is."""
    return {address.port: name for name, address in copy.listening()}


def code_of(port: int, method: str, token: str | None) -> str:
    """What an empty call of this method is answered with."""
    metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary(method)(b"", timeout=ANSWER_S, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def service_at(port: int) -> str:
    """The method that somebody listens for on this port; empty where nobody speaks Ray's protocol."""
    return next((method for method in METHODS if code_of(port, method, None) not in ("UNIMPLEMENTED", "UNAVAILABLE")), "")


class _Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.open, (str(self.path), os.O_CREAT)


def test_f77_without_the_token_every_port_of_rays_refuses_and_a_pickle_is_never_read(copy: Any, tmp_path: Path) -> None:
    token = (copy.folder / "data" / "ray-token").read_text()
    mark = tmp_path / "unpickled"
    ports = ports_of(copy)
    services = {port: service_at(port) for port, name in ports.items() if name.startswith(RAYS_OWN)}
    guarded = {port: method for port, method in services.items() if method}
    # The control store, the raylet's two, this process', the coordinator's, the host's, Serve's four or five, and the replicas' own.
    assert set(guarded.values()) == set(METHODS)
    assert len(guarded) >= 10
    for port, method in guarded.items():
        assert [code_of(port, method, wrong) for wrong in (None, "", "0" * 64)] == ["UNAUTHENTICATED"] * 3, (ports[port], method)
        assert code_of(port, method, token) != "UNAUTHENTICATED", (ports[port], method)
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S) as line:
            line.sendall(pickle.dumps(_Touch(mark)))
    assert copy.ask("GET", "/readyz")[0] == 200
    assert not mark.exists()
    os.close(pickle.loads(pickle.dumps(_Touch(mark))))
    assert mark.exists()
