"""The operator: reconciles MultimodalPipeline and LanceDataset into KubeRay clusters."""
