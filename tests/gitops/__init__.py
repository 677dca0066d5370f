"""What GitOps tools make of our objects: Argo CD's Lua, Flux' and Helm's kstatus, kustomize."""
