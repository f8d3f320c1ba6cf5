"""NIR graphs, simulated by numpy in float64 from NIR's own definitions."""

import nir
import numpy as np


def convolve(node, x):
    weight, (stride, _), (pad, _) = node.weight, node.stride, node.padding
    size = weight.shape[2]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    rows = (padded.shape[1] - size) // stride + 1
    columns = (padded.shape[2] - size) // stride + 1
    out = np.zeros((weight.shape[0], rows, columns))
    for row in range(size):
        for column in range(size):
            patch = padded[:, row : row + stride * rows : stride, column : column + stride * columns : stride]
            out += np.tensordot(weight[:, :, row, column], patch[:, :rows, :columns], 1)
    return out + node.bias[:, None, None]


def pool(node, x):
    height, width = node.kernel_size
    x = x[:, : x.shape[1] // height * height, : x.shape[2] // width * width]
    blocks = x.reshape(len(x), x.shape[1] // height, height, x.shape[2] // width, width)
    return blocks.sum((2, 4)) if isinstance(node, nir.SumPool2d) else blocks.mean((2, 4))


def simulate(graph, image, dt, num_steps=None):
    """Outputs of all steps for one input, channels first: forward Euler, resets and ties as the metadata or NIR say."""
    order, remaining = ["input"], set(graph.nodes) - {"input"}
    while remaining:
        ready = {name for name in remaining if all(source in order for source, reader in graph.edges if reader == name)}
        order += sorted(ready)
        remaining -= ready
    voltages, logits = {}, []
    for _ in range(int(graph.metadata["num_steps"] if num_steps is None else num_steps)):
        values = {"input": image}
        for name in order[1:]:
            node = graph.nodes[name]
            x = sum(values[source] for source, reader in graph.edges if reader == name)
            if isinstance(node, nir.Conv2d):
                values[name] = convolve(node, x)
            elif isinstance(node, nir.Affine | nir.Linear):
                values[name] = node.weight @ x + getattr(node, "bias", 0)
            elif isinstance(node, nir.Scale):
                values[name] = node.scale * x
            elif isinstance(node, nir.SumPool2d | nir.AvgPool2d):
                values[name] = pool(node, x)
            elif isinstance(node, nir.Flatten):
                values[name] = x.reshape(-1)
            elif isinstance(node, nir.LIF | nir.IF):
                leaks = isinstance(node, nir.LIF)
                before = voltages.get(name, (node.v_leak if leaks else node.v_reset) + np.zeros(x.shape))
                slope = (node.v_leak - before + node.r * x) / node.tau if leaks else node.r * x
                voltage = before + dt * slope
                fires = node.metadata.get("fires", "v > v_threshold")
                fired = {"v >= v_threshold": np.greater_equal, "v > v_threshold": np.greater}[fires](
                    voltage, node.v_threshold
                )
                values[name] = fired.astype(float)
                soft = node.metadata.get("reset") == "subtract v_threshold"
                voltages[name] = voltage - node.v_threshold * fired if soft else np.where(fired, node.v_reset, voltage)
            else:
                values[name] = x
        logits.append(values["output"])
    return np.stack(logits)
