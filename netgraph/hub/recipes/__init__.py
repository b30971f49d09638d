"""Recipes: the TOML files that stand beside the shipped models, and the code that follows them."""

from netgraph.hub.recipes.classifier import TrainingLog, TrainingSettings, accuracy, train_classifier
from netgraph.hub.recipes.metanetwork import make_metanetwork
from netgraph.hub.recipes.network import make_network
from netgraph.hub.recipes.recipe import Recipe, read_recipe, recipe_names

__all__ = [
    "Recipe",
    "read_recipe",
    "recipe_names",
    "make_network",
    "make_metanetwork",
    "TrainingLog",
    "TrainingSettings",
    "accuracy",
    "train_classifier",
]
