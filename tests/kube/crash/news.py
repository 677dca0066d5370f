"""What the events of a watch tell, by kinds that are the same in each life."""

from __future__ import annotations

from kube.crash.theatre import Object
from kube.exchange import Exchange, Fault
from kube.faults import events, named


def news_in(resource: str, event: Object) -> str:
    """`RUNNING`, `edited`, `deleted`; empty where it tells nothing that anybody waits for."""
    found, change = event["object"], event["type"]
    if change in ("BOOKMARK", "ERROR"):
        return ""
    if change != "MODIFIED":
        return str(change).lower()
    status = found.get("status") or {}
    match resource:
        case "multimodalpipelines" if found["metadata"]["generation"] > 1:
            return f"generation {found['metadata']['generation']}"
        case "rayjobs":
            return str(status.get("jobDeploymentStatus", ""))
        case "jobs" if status.get("conditions"):
            return "ended"
        case "lancedatasets" if status.get("version"):
            return f"version {status['version']}"
    return ""


def listening(heard: dict[tuple[str, str], None]) -> Fault:
    """No fault: it notes what comes."""

    @named("listening")
    async def fault(exchange: Exchange) -> None:
        resource = exchange.call.resource

        def note(event: Object) -> bool:
            what = news_in(resource, event)
            if what:
                heard[resource, what] = None
            return False

        await events(note)(exchange)

    return fault
