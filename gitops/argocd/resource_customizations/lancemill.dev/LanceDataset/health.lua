-- Health from conditions alone. Both kinds say Ready, Reconciling and Stalled in every state, so
-- that this agrees with kstatus, by which Flux and Helm judge; both kinds use this same text.
local health = {status = "Progressing", message = "The operator has not looked at it yet"}

local generation = obj.metadata ~= nil and obj.metadata.generation or nil
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if generation ~= nil and obj.status.observedGeneration ~= generation then
  health.message = "The operator has not looked at this generation yet"
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end

local function says(type, status)
  return conditions[type] ~= nil and conditions[type].status == status
end

local function message(type)
  local condition = conditions[type]
  if condition.message ~= nil and condition.message ~= "" then
    return condition.message
  end
  return condition.reason
end

if says("Reconciling", "True") then
  health.message = message("Reconciling")
elseif says("Stalled", "True") then
  health.status = "Degraded"
  health.message = message("Stalled")
elseif says("Suspended", "True") then
  health.status = "Suspended"
  health.message = message("Suspended")
elseif says("Ready", "True") then
  health.status = "Healthy"
  health.message = message("Ready")
elseif conditions["Ready"] ~= nil then
  health.message = message("Ready")
end
return health
