"""
Five ways to initialize the weights
===================================

Too small, too large, equal, and scaled to the layer (Glorot, He).

A network with ten hidden ReLU layers reads handwritten digits. The first two plots are made before training: the size
of each layer's output, and of the gradient of its weights. The third shows the training. With weights that are too
small both vanish, and the network does not learn. With weights that are too large both explode. He's initialization
keeps their size; Glorot's is made for tanh and loses half of the variance at each ReLU. Equal weights get equal
gradients, so all nodes of a layer stay equal, however long they are trained.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import dlarray
from dlarray.plot import AMBER, BLUE, GREEN, ORANGE

LAYERS, NODES, EPOCHS = 10, 64, 10
STARTS = {
    "too small": (dlarray.Normal(0.01), BLUE, "o"),
    "too large": (dlarray.Normal(0.5), ORANGE, "s"),
    "equal": (dlarray.Constant(0.02), "black", "x"),
    "Glorot": (dlarray.GlorotUniform(), AMBER, "^"),
    "He": (dlarray.HeUniform(), GREEN, "D"),
}

data = dlarray.datasets.digits()
x, y = dlarray.asarray(data.x_train), dlarray.asarray(data.y_train)
loss = dlarray.SparseCategoricalCrossEntropy()
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained")


def norm(values: dlarray.Array) -> float:
    """The root of the mean square."""
    host = dlarray.to_numpy(values).astype(np.float64)
    return float(np.sqrt(np.mean(host * host)))


# %%
# For each initialization: one pass forward and backward, then the training.

titles = ("output of layer 1", f"and {LAYERS}", "gradient of layer 1", "test accuracy")
print("weights    {:>18} {:>10} {:>20} {:>14}".format(*titles))
for name, (weight, colour, marker) in STARTS.items():
    hidden = [f for _ in range(LAYERS) for f in (dlarray.Dense(NODES, weight=weight), dlarray.ReLU())]
    model = dlarray.MLP(64, [*hidden, dlarray.Dense(10, weight=weight)])
    theta = model.init()
    parameters = model.parameters(theta)

    outputs, h = [], x
    for i in range(0, 2 * LAYERS, 2):
        z = model.layers[i].predict(h, W=parameters[f"{i}.W"], b=parameters[f"{i}.b"])
        h = model.layers[i + 1].predict(z)
        outputs.append(norm(h))
    _, g = model.loss_and_gradient(theta, x, y, loss)
    gradients = [norm(g_p) for parameter, g_p in model.parameters(g).items() if parameter.endswith("W")]

    trained = dlarray.fit(
        model,
        x,
        y,
        loss=loss,
        optimizer=dlarray.Adam(0.001),
        epochs=EPOCHS,
        batch_size=64,
        validation=(dlarray.asarray(data.x_test), dlarray.asarray(data.y_test)),
        progress=False,
    )
    accuracy = trained.history["validation_accuracy"]
    print(f"{name:10} {outputs[0]:>18.2e} {outputs[-1]:>10.1e} {gradients[0]:>20.1e} {accuracy[-1]:>14.1%}")
    if name == "equal":
        W = dlarray.to_numpy(trained.parameters["0.W"])
        nodes_apart, inputs_apart = np.max(np.ptp(W, axis=1)), np.max(np.ptp(W, axis=0))
    style = {"color": colour, "marker": marker, "markersize": 5, "label": name}
    left.plot(range(1, LAYERS + 1), outputs, **style)
    middle.plot(range(1, LAYERS + 2), gradients, **style)
    right.plot(range(1, EPOCHS + 1), [100 * a for a in accuracy], **style)

# %%
# A closer look at equal weights; then the picture.

print(f"equal weights: after {EPOCHS} epochs the weights of two inputs are up to {inputs_apart:.3f} apart,")
print(f"but the {NODES} nodes of the first layer differ by at most {nodes_apart:.1e}: they act as one node")
left.set(title="Forward: size of each layer's output", xlabel="hidden layer", ylabel="root mean square", yscale="log")
middle.set(title="Backward: gradient of each layer's weights", xlabel="layer", ylabel="root mean square", yscale="log")
right.set(title="Training", xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 102))
left.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "initialisation.png", dpi=110)
