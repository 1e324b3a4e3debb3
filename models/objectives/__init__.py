"""What an encoder is pretrained by, without labels: one module an objective, made by its name.

Each is made of (ranker, facts) and called with what is given of a step's rows (models/objectives/given.py). It says the
mean loss of each row, times the row's targets, added up: () float32.
"""

from collections.abc import Callable

from models.next_item import NextItemModel
from models.objectives.contrast import Contrast
from models.objectives.given import Facts, Objective
from models.objectives.masked_item import MaskedItem
from models.objectives.next_category import NextCategory
from models.objectives.next_gap import NextGap
from models.objectives.next_item import NextItems
from models.objectives.next_type import NextType
from models.objectives.replaced_item import ReplacedItem

OBJECTIVES: dict[str, Callable[[NextItemModel, Facts], Objective]] = {
    "next_item": NextItems,
    "next_gap": NextGap,
    "next_type": NextType,
    "next_category": NextCategory,
    "masked_item": MaskedItem,
    "replaced_item": ReplacedItem,
    "contrast": Contrast,
}
