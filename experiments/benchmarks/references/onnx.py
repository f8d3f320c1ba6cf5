"""The ResNet-18 of `references.torch` in ONNX Runtime: all time-steps in one graph, in float32 and in int8."""

import pathlib
from collections.abc import Callable

import numpy as np
import onnxruntime
import torch
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from experiments.benchmarks.references import torch as torch_reference

INPUT = "images"
QUANTIZED = ["Conv", "Gemm", "MatMul"]  # neurons stay in float32, as potentials of 8 bits are another network


class _Rollout(nn.Module):
    def __init__(self, model: torch_reference.ResNet18):
        super().__init__()
        self.model = model

    def forward(self, images):
        return torch_reference.rollout(self.model, images)


def export(model: torch_reference.ResNet18, images: torch.Tensor, path: pathlib.Path) -> None:
    """Writes the network for batches of one size.

    Args:
      model: with frozen kernels.
      images: normalised, `[B, C, H, W]`.
      path: of the file.
    """
    with torch.no_grad():
        torch.onnx.export(
            _Rollout(model).eval(),
            (images.contiguous(),),
            path,
            input_names=[INPUT],
            dynamo=True,
            external_data=False,  # `quantize` reads one file
            verbose=False,
        )


class _Images(quantization.CalibrationDataReader):
    def __init__(self, images: np.ndarray):
        self._batches = iter([{INPUT: images}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def quantize(path: pathlib.Path, images: np.ndarray, quantized: pathlib.Path) -> None:
    """Writes the network with static int8 quantisation of its products: scales of activations from these images.

    Args:
      path: of the network in float32.
      images: normalised, `[B, C, H, W]`.
      quantized: of the file.
    """
    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantization.quantize_static(
        prepared,
        quantized,
        _Images(images),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=QUANTIZED,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )


def run(path: pathlib.Path, images: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    """Loads a network, for so many threads: a function that gives its logits of these images, `[T, B, K]`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def logits() -> np.ndarray:
        found: np.ndarray = session.run(None, {INPUT: images})[0]
        return found

    return logits
