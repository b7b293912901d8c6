"""Arguments that ``fit`` does not have because they belong elsewhere, and what to write instead."""

from __future__ import annotations

__all__ = ["REMEDIES"]

_TEXTS = {
    "the learning rate belongs to the optimizer: optimizer=dlarray.Adam(learning_rate=0.01)": (
        "lr learning_rate learning_rate_init rate eta step_size"
    ),
    "a schedule is the rate of the optimizer: optimizer=dlarray.Adam(dlarray.CosineDecay(0.001, steps=1000))": (
        "scheduler lr_scheduler schedule lr_schedule"
    ),
    "weight decay belongs to the optimizer: optimizer=dlarray.AdamW(weight_decay=0.01)": (
        "weight_decay decay wd l2 alpha regularization"
    ),
    "momentum belongs to the optimizer: optimizer=dlarray.Momentum(0.01, momentum=0.9)": "momentum nesterov",
    'it belongs to the model: dlarray.mlp(64, 128, 10, activation="relu", dropout=0.1)': (
        "activation dropout hidden hidden_layer_sizes units layers"
    ),
    "it is a callback: callbacks=[dlarray.EarlyStopping(patience=5)], with validation=0.2": (
        "early_stopping patience n_iter_no_change"
    ),
    "give the fraction of the examples as validation=0.2": "validation_split validation_fraction val_split test_size",
    "give the examples as validation=(x, y)": "validation_data val_data eval_set X_val x_val y_val",
    "give clip_norm or clip_value": "gradient_clip_val grad_clip max_grad_norm clipnorm clipvalue",
}
REMEDIES = {word: text for text, words in _TEXTS.items() for word in words.split()}
"""The remedy for each argument."""
