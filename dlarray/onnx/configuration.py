"""The configuration of a network in the metadata of an ONNX file, from which ``load`` makes the same model again."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.training import Trained
from dlarray.training.configuration import deserialize, deserialize_model, serialize, serialize_model
from dlarray.training.data_names import DataNames
from dlarray.training.json_data import entries

__all__ = ["network_metadata", "read_network"]

KEY = "network"


def network_metadata(trained: Trained) -> dict[str, str]:
    """The entry of the metadata; none for a model that contains a function, which cannot be written."""
    try:
        data = {"model": serialize_model(trained.model), "loss": serialize(trained.loss)}
    except TypeError:
        return {}
    return {KEY: json.dumps(data | DataNames(trained.features, trained.classes).to_data(), ensure_ascii=False)}


def read_network(metadata: Mapping[str, str], constants: Collection[str]) -> tuple[MLP, Loss, DataNames] | None:
    """The network of a file, if all its parameters are constants of the graph by name; otherwise None.

    Raises ValueError or TypeError for an entry that ``network_metadata`` has not written, such as one with an unknown
    layer.
    """
    if KEY not in metadata:
        return None
    data = entries("its entry 'network'", json.loads(metadata[KEY]), "model", "loss")
    model, loss = deserialize_model(data["model"]), deserialize(data["loss"])
    if not isinstance(loss, Loss):
        raise ValueError("its entry 'network' names no loss")
    needed = {name for name, _ in (*model.layout.shapes, *model.buffer_layout.shapes)}
    names = DataNames.from_data(data, loss, model.inputs, model.outputs)
    return (model, loss, names) if needed <= set(constants) else None
