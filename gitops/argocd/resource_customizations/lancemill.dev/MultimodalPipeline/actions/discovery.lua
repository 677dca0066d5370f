local suspended = obj.spec.run ~= nil and obj.spec.run.suspend == true
local running = obj.status ~= nil and obj.status.currentRun ~= nil
local actions = {}
actions["rerun"] = {["displayName"] = "Run again", ["iconClass"] = "fa fa-fw fa-redo", ["disabled"] = suspended}
actions["cancel"] = {["displayName"] = "Cancel the run", ["iconClass"] = "fa fa-fw fa-stop", ["disabled"] = not running}
actions["suspend"] = {["displayName"] = "Suspend", ["iconClass"] = "fa fa-fw fa-pause", ["disabled"] = suspended}
actions["resume"] = {["displayName"] = "Resume", ["iconClass"] = "fa fa-fw fa-play", ["disabled"] = not suspended}
return actions
