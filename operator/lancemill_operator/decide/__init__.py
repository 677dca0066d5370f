"""The decisions: pure functions from what is known to what is true and what is to be done."""

from lancemill_operator.decide.dataset import decide_dataset
from lancemill_operator.decide.pipeline import decide_pipeline

__all__ = ["decide_dataset", "decide_pipeline"]
