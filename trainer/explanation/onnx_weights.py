"""Weights of an exported ONNX file put back into the torch network that it came from.

The exporter keeps the names of most weights; of a convolution with batch normalisation behind it,
it stores one convolution that does both, whose node has the name of the torch module. That goes
back into the convolution, and the batch normalisation becomes an identity plus the bias. A linear
layer without a bias becomes a product with its weights turned.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edge_app.errors import TrainingError

PREFIX = "model."
"""The network is the part ``model`` of ``Calibrated``, which is what is exported."""


def put_onnx_weights(model: nn.Module, path: Path, example: Tensor) -> None:
    """Fill a network with the weights of its own ONNX file.

    Args:
        model: built by the recipe of the file; in evaluation mode.
        path: a float ONNX file, as ``trainer export`` writes it.
        example: one input with a leading 1.

    Raises:
        TrainingError: a weight is not to be found, or has another shape.
    """
    graph = onnx.load(str(path)).graph
    stored = {
        entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy())
        for entry in graph.initializer
    }
    if any(node.op_type == "DequantizeLinear" for node in graph.node):
        raise TrainingError(
            "this bundle holds 8-bit integers, which have no gradients",
            source=str(path),
            next_step="Explain the float bundle that it was made from, such as exports/emotion",
        )
    folded, turned = _by_module(_folded(graph, stored), model), _turned(graph, stored)
    followers = _batch_norms(model, example)
    done: set[str] = set()
    for name, module in model.named_modules():
        if name in folded and isinstance(module, nn.Conv2d):
            weight, bias = folded[name]
            _put(module.weight, weight, name, path)
            done.add(f"{name}.weight")
            norm = followers.get(name)
            if norm is None:
                if module.bias is None or bias is None:
                    raise _not_found(f"{name}.bias", path)
                _put(module.bias, bias, name, path)
                done.add(f"{name}.bias")
            else:
                if module.bias is not None:  # it is in the folded one
                    _put(module.bias, torch.zeros_like(module.bias), name, path)
                    done.add(f"{name}.bias")
                _make_identity(model.get_submodule(norm), bias, norm, path)
                done |= {f"{norm}.{key}" for key in model.get_submodule(norm).state_dict()}
    for name, value in model.state_dict().items():
        if name not in done and not name.endswith("num_batches_tracked"):
            found = stored.get(PREFIX + name, turned.get(name))
            if found is None:
                raise _not_found(name, path)
            _put(value, found, name, path)


def _folded(
    graph: onnx.GraphProto, stored: dict[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Return module name to weight and bias of convolutions whose weights lost their names."""
    found = {}
    for node in graph.node:
        if node.op_type == "Conv" and not node.input[1].startswith(PREFIX):
            parts = node.name.strip("/").split("/")[1:-1]  # without "model" and "Conv"
            bias = stored[node.input[2]] if len(node.input) > 2 else None
            found[_module_name(parts)] = (stored[node.input[1]], bias)
    return found


def _turned(graph: onnx.GraphProto, stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return parameter name to weights of linear layers without a bias, as torch holds them."""
    return {
        f"{_module_name(node.name.strip('/').split('/')[1:-1])}.weight": stored[node.input[1]].T
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in stored
    }


def _by_module(
    folded: dict[str, tuple[Tensor, Tensor | None]], model: nn.Module
) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Return the same by full names: the scopes lack a part whose own forward is not called."""
    modules = {name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    lost = [scope for scope in folded if scope not in modules]
    for part, _ in model.named_modules():
        if lost and part and all(f"{part}.{scope}" in modules for scope in lost):
            return {f"{part}.{key}" if key in lost else key: folded[key] for key in folded}
    return folded


def _module_name(scopes: list[str]) -> str:
    """Return the dotted name of nested scopes; a part of a Sequential repeats the one above."""
    name, above = [], ""
    for scope in scopes:
        name.append(scope.removeprefix(f"{above}.") if above else scope)
        above = scope
    return ".".join(name)


def _batch_norms(model: nn.Module, example: Tensor) -> dict[str, str]:
    """Return convolution to the batch normalisation that reads its output, by a run through."""
    made: dict[int, str] = {}
    kept: list[Tensor] = []  # so that no tensor's id is used twice
    pairs: dict[str, str] = {}
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):

            def after(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
                made[id(output)] = name
                kept.append(output)

            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, nn.BatchNorm2d):

            def before(_: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
                if id(given[0]) in made:
                    pairs[made[id(given[0])]] = name

            hooks.append(module.register_forward_pre_hook(before))
    try:
        with torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return pairs


def _make_identity(module: nn.Module, bias: Tensor | None, name: str, path: Path) -> None:
    norm = module
    if not isinstance(norm, nn.BatchNorm2d) or bias is None or norm.running_var is None:
        raise _not_found(f"{name}.bias", path)
    with torch.no_grad():
        norm.weight.fill_(1.0)
        norm.running_var.fill_(1.0 - norm.eps)
        if norm.running_mean is not None:
            norm.running_mean.zero_()
    _put(norm.bias, bias, name, path)


def _put(target: Tensor, value: Tensor, name: str, path: Path) -> None:
    if target.shape != value.shape:
        raise TrainingError(
            f"the weight {name} has another shape: the recipe or the code has changed since",
            source=str(path),
            expected=tuple(target.shape),
            got=tuple(value.shape),
            next_step="Explain the run that it was exported from",
        )
    with torch.no_grad():
        target.copy_(value)


def _not_found(name: str, path: Path) -> TrainingError:
    return TrainingError(
        f"the ONNX file does not hold {name} in a form that can be put back",
        source=str(path),
        next_step="Explain the run that it was exported from, a folder made by `trainer fit`",
    )
