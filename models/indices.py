"""What the lowest item indices mean, to models and to what is given to them (see features.items)."""

PADDING, UNKNOWN, MASK, FIRST_ITEM = 0, 1, 2, 3
