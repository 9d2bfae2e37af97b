"""Converts a checkpoint for transformers.js: exported by Optimum, then quantized with the settings
of transformers.js' own conversion script (scripts/convert.py, scripts/quantize.py). Runs in the
peer's environment, not in ours.

python export_for_transformers_js.py CHECKPOINT FOLDER
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantizationMode, QuantType
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.registry import IntegerOpsRegistry
from optimum.exporters.onnx import main_export


def main(checkpoint: Path, folder: Path) -> None:
    """Write config.json and onnx/model.onnx, model_quantized.onnx (q8) and model_q4.onnx."""
    shutil.rmtree(folder, ignore_errors=True)
    main_export(
        str(checkpoint), output=folder, task="text-generation-with-past", do_validation=False
    )
    # The script would now slim the graph (it can be told not to): today's onnxslim then puts the
    # unembedding's Transpose before the Gather, the quantizer leaves it in float32, and GPT-2's q8
    # is 279 MB instead of 125. Without onnxslim the peer is at its best.
    graphs = folder / "onnx"
    graphs.mkdir()
    plain = graphs / "model.onnx"
    (folder / "model.onnx").rename(plain)
    onnx.save(to_q8(onnx.load(plain)), graphs / "model_quantized.onnx")
    onnx.save(to_q4(onnx.load(plain)), graphs / "model_q4.onnx")


def to_q8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Quantize as the script does for GPT-2: whole tensors, not channels, to int8 in full range."""
    quantizer = ONNXQuantizer(
        model,
        per_channel=False,
        reduce_range=False,
        mode=QuantizationMode.IntegerOps,
        static=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=None,
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=list(IntegerOpsRegistry),
        extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
    )
    quantizer.quantize_model()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def to_q4(model: onnx.ModelProto) -> onnx.ModelProto:
    """Quantize MatMul alone, in symmetric blocks of 32. GPT-2's matrices are exported as Gemm."""
    quantizer = MatMulNBitsQuantizer(model, block_size=32, is_symmetric=True, accuracy_level=None)
    quantizer.process()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
