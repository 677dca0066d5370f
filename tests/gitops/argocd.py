"""Argo CD's judgement of an object, as its own code comes to it (util/lua there).

Its interpreter is gopher-lua, of Lua 5.1, with the basic and the table library and, by `require`,
an `os` of two functions; scripts from argocd-cm get nothing else. So a real Lua 5.1 is stripped to
that here.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lupa.lua51

from kube.binaries import ROOT

CUSTOMIZATIONS = ROOT / "gitops" / "argocd" / "resource_customizations"
STATES = ("Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown")
STRFTIME = "aAbBcdFHImMpPSxXyYzZw"
"""Letters that Argo CD's os.date knows; it leaves others as they stand."""

Document = dict[str, Any]
Health = tuple[str, str]

_STRIP = """
local date, time = ...
local kept = {}
for name in ("assert error ipairs next pairs pcall rawequal rawget rawset select setmetatable "
  .. "getmetatable tonumber tostring type unpack table _G obj"):gmatch("%S+") do
  kept[name] = true
end
getmetatable("").__index = nil
for name in pairs(_G) do
  if not kept[name] then _G[name] = nil end
end
require = function(name)
  assert(name == "os", "Argo CD has no module of that name")
  return {date = date, time = time}
end
"""


def health(document: Document, script: str | None = None) -> Health:
    """Status and message that Argo CD shows for the object; by `script`, else by ours."""
    if "deletionTimestamp" in document["metadata"]:
        return "Progressing", "Pending deletion"
    found = _run(_folder(document) / "health.lua" if script is None else script, document)
    assert isinstance(found, dict), f"health.lua gave {found!r}"
    assert found["status"] in STATES, found
    return found["status"], found.get("message", "")


def actions(document: Document) -> dict[str, Document]:
    """The actions that Argo CD offers for the object."""
    found = _run(_folder(document) / "actions" / "discovery.lua", document)
    assert isinstance(found, dict), f"discovery.lua gave {found!r}"
    return found


def act(document: Document, action: str) -> Document:
    """The object as the action leaves it."""
    found = _run(_folder(document) / "actions" / action / "action.lua", document)
    assert isinstance(found, dict), f"{action} gave {found!r}"
    return found


def _folder(document: Document) -> Path:
    return CUSTOMIZATIONS / document["apiVersion"].partition("/")[0] / document["kind"]


def _run(script: Path | str, document: Document) -> Any:
    text = script.read_text(encoding="utf-8") if isinstance(script, Path) else script
    lua = lupa.lua51.LuaRuntime(register_eval=False, register_builtins=False)
    lua.globals()["obj"] = _to_lua(lua, document)
    lua.execute(_STRIP, _date, time.time)
    return _to_python(lua.execute(text))


def _date(form: str) -> str:
    assert form.startswith("!"), "local time would differ between Argo CD's replicas"
    wanted = form[1:]
    for index, letter in enumerate(wanted):
        if wanted[index - 1 : index] == "%" and index:
            assert letter in STRFTIME, f"Argo CD's os.date does not know %{letter}"
    return time.strftime(wanted, time.gmtime())


def _to_lua(lua: Any, value: Any) -> Any:
    """As Argo CD decodes JSON; null is nothing."""
    if isinstance(value, dict):
        pairs = {key: _to_lua(lua, one) for key, one in value.items() if one is not None}
        return lua.table_from(pairs)
    if isinstance(value, list | tuple):
        return lua.table_from([_to_lua(lua, one) for one in value])
    return value


def _to_python(value: Any) -> Any:
    """As Argo CD encodes it; it, too, cannot tell an empty list from an empty mapping."""
    if lupa.lua51.lua_type(value) != "table":
        return value
    pairs = dict(value.items())
    if pairs and set(pairs) == set(range(1, len(pairs) + 1)):
        return [_to_python(pairs[index]) for index in sorted(pairs)]
    return {key: _to_python(one) for key, one in pairs.items()}
