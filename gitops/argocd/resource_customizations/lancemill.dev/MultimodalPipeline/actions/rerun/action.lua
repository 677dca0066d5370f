-- A new value of this annotation starts a run; Argo CD does not count it as drift.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["lancemill.dev/run-requested-at"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
