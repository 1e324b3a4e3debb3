"""Heads: what a model predicts from an encoder's output, and the loss that teaches it."""
