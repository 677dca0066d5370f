if obj.spec.run ~= nil then
  obj.spec.run.suspend = false
end
return obj
