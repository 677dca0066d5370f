if obj.spec.run == nil then
  obj.spec.run = {}
end
obj.spec.run.suspend = true
return obj
