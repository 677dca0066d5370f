-- The run is named, so that a click that comes late cancels no later one.
if obj.status == nil or obj.status.currentRun == nil then
  return obj
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["lancemill.dev/cancel-run"] = obj.status.currentRun.id
return obj
