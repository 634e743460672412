"""Tiny real bundles for tests: the product's format, weights whose outputs can be foretold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

from edge_app.inference.bundle import seal, sha256_of
from edge_app.inference.onnx_runtime import load_onnxruntime

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8
LABELS = {
    "emotion": ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    "sleep": ("W", "N1", "N2", "N3", "R"),
    "frailty": ("robust", "prefrail", "frail"),
}
IMU = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")


def _save(folder: Path, role: str, nodes: list, inputs: list, outputs: list, weights: list) -> dict:
    graph = helper.make_graph(
        nodes,
        role,
        [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info(*entry) for entry in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    path = folder / f"{role}.onnx"
    save(model, str(path))
    names = {FLOAT: "float32", UINT8: "uint8"}

    def tensors(entries: list) -> list[dict]:
        return [{"name": n, "dtype": names[t], "shape": list(shape)} for n, t, shape in entries]

    return {
        "role": role,
        "file": path.name,
        "sha256": sha256_of(path),
        "opset": 17,
        "inputs": tensors(inputs),
        "outputs": tensors(outputs),
    }


def _softmax_of(logits: str) -> list:
    return [helper.make_node("Softmax", [logits], ["probabilities"], axis=-1)]


def _mean_model(folder: Path, name: str, kind: int, shape: list[int], n: int) -> dict:
    """Logits are (mean / 32) * label index: a brighter input means a later label."""
    ramp = np.arange(n, dtype=np.float32)[None]
    nodes = [
        helper.make_node("Cast", [name], ["x"], to=FLOAT),
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Div", ["mean", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "ramp"], ["logits"]),
        *_softmax_of("logits"),
    ]
    outputs = [("logits", FLOAT, [1, n]), ("probabilities", FLOAT, [1, n])]
    weights = [("ramp", ramp), ("scale", np.float32([32.0]))]
    return _save(folder, "model", nodes, [(name, kind, shape)], outputs, weights)


def _sleep_graphs(folder: Path, length: int) -> list[dict]:
    """Encoder: mean of the epoch. Sequence: logits are highest where the index is the mean."""
    encoder = _save(
        folder,
        "encoder",
        [helper.make_node("ReduceMean", ["eeg"], ["features"], axes=[2], keepdims=0)],
        [("eeg", FLOAT, [1, 1, 3000])],
        [("features", FLOAT, [1, 1])],
        [],
    )
    # logits = 8 - 8 |feature - index| + 0.5 * (share of the window's epochs that are present)
    nodes = [
        helper.make_node("Sub", ["features", "index"], ["away"]),
        helper.make_node("Abs", ["away"], ["distance"]),
        helper.make_node("Mul", ["distance", "minus8"], ["closeness"]),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("ReduceMean", ["column"], ["present"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["present", "favour_w"], ["favour"]),
        helper.make_node("Add", ["closeness", "favour"], ["logits"]),
        *_softmax_of("logits"),
    ]
    weights = [
        ("index", np.arange(5, dtype=np.float32)[None, None]),
        ("minus8", np.float32([-8.0])),
        ("last", np.int64([2])),
        ("favour_w", np.float32([[[1.0, 0, 0, 0, 0]]])),
    ]
    sequence = _save(
        folder,
        "sequence",
        nodes,
        [("features", FLOAT, [1, length, 1]), ("mask", FLOAT, [1, length])],
        [("logits", FLOAT, [1, length, 5]), ("probabilities", FLOAT, [1, length, 5])],
        weights,
    )
    return [encoder, sequence]


def _stateful_sleep_graphs(folder: Path, lookahead: int) -> list[dict]:
    """Encoder: mean of the epoch. Sequence: logits are highest where the index is the mean.

    The state holds the two means before and the number n of steps so far; an unknown mean counts as
    -9. W gains 0.1 n; of an epoch that is revised it gains the newest mean / 4 too.
    """
    encoder, _ = _sleep_graphs(folder, length=5)
    nodes = [
        helper.make_node("IsNaN", ["features"], ["unknown"]),
        helper.make_node("Where", ["unknown", "minus9", "features"], ["value"]),
        helper.make_node("Split", ["state", "two_one"], ["before", "n"], axis=1),
        helper.make_node("Split", ["before", "one_one"], ["previous", "oldest"], axis=1),
        helper.make_node("Add", ["n", "one"], ["steps"]),
        helper.make_node("Concat", ["value", "previous", "steps"], ["next_state"], axis=1),
        helper.make_node("Concat", ["value", "before"], ["all_rows"], axis=1),
        helper.make_node("Unsqueeze", ["all_rows", "last"], ["column"]),
        helper.make_node("Sub", ["column", "index"], ["away"]),
        helper.make_node("Abs", ["away"], ["distance"]),
        helper.make_node("Mul", ["distance", "minus8"], ["closeness"]),
        helper.make_node("Mul", ["n", "tenth"], ["gain"]),
        helper.make_node("Mul", ["value", "quarters"], ["later"]),
        helper.make_node("Add", ["gain", "later"], ["gains"]),
        helper.make_node("Unsqueeze", ["gains", "last"], ["gains_column"]),
        helper.make_node("Mul", ["gains_column", "favour_w"], ["favour"]),
        helper.make_node("Add", ["closeness", "favour"], ["all_logits"]),
        helper.make_node("Gather", ["all_logits", "first"], ["logits"], axis=1),
        *_softmax_of("logits"),
    ]
    outputs = [("logits", FLOAT, [1, 5]), ("probabilities", FLOAT, [1, 5])]
    if lookahead:
        chosen = helper.make_node("Gather", ["all_logits", "earlier"], ["earlier_logits"], axis=1)
        nodes += [chosen, helper.make_node("Softmax", ["earlier_logits"], ["revised"], axis=-1)]
        outputs.append(("revised", FLOAT, [1, lookahead, 5]))
    weights = [
        ("minus9", np.float32([[-9.0]])),
        ("two_one", np.int64([2, 1])),
        ("one_one", np.int64([1, 1])),
        ("one", np.float32([[1.0]])),
        ("last", np.int64([2])),
        ("index", np.arange(5, dtype=np.float32)[None, None]),
        ("minus8", np.float32([-8.0])),
        ("tenth", np.float32([0.1])),
        ("quarters", np.float32([[0.0, 0.25, 0.25]])),
        ("favour_w", np.float32([[[1.0, 0, 0, 0, 0]]])),
        ("first", np.int64(0)),
        *([("earlier", np.arange(1, 1 + lookahead))] if lookahead else []),
    ]
    sequence = _save(
        folder,
        "sequence",
        nodes,
        [("features", FLOAT, [1, 1]), ("state", FLOAT, [1, 3])],
        [*outputs, ("next_state", FLOAT, [1, 3])],
        weights,
    )
    return [encoder, sequence]


def _stride_model(folder: Path) -> dict:
    """Logits are 8 (0.9 - stride length in m) * label index - ...: shorter strides, later label.

    Inputs: mean stride time (not used), mean stride length, and a parameter nobody measures. A
    value that is not known adds nothing.
    """
    ramp = 8.0 * np.float32([[[-1.0, 0.0, 1.0]]])
    nodes = [
        helper.make_node("IsNaN", ["gait"], ["unknown"]),
        helper.make_node("Where", ["unknown", "middle", "gait"], ["known"]),
        helper.make_node("Sub", ["middle", "known"], ["short"]),
        helper.make_node("Mul", ["short", "used"], ["counted"]),
        helper.make_node("Unsqueeze", ["counted", "last"], ["column"]),
        helper.make_node("Mul", ["column", "ramp"], ["contributions"]),
        helper.make_node("ReduceSum", ["contributions", "parameters"], ["logits"], keepdims=0),
        *_softmax_of("logits"),
    ]
    outputs = [
        ("logits", FLOAT, [1, 3]),
        ("probabilities", FLOAT, [1, 3]),
        ("contributions", FLOAT, [1, 3, 3]),
    ]
    weights = [
        ("middle", np.float32([[1.2, 0.9, 1.0]])),
        ("used", np.float32([[0.0, 1.0, 1.0]])),
        ("last", np.int64([2])),
        ("ramp", ramp),
        ("parameters", np.int64([1])),
    ]
    return _save(folder, "model", nodes, [("gait", FLOAT, [1, 3])], outputs, weights)


def _golden(folder: Path, graphs: list[dict], cases: int) -> dict:
    onnxruntime = load_onnxruntime()
    rng, arrays = np.random.default_rng(3), {}
    for graph in graphs:
        session = onnxruntime.InferenceSession(str(folder / graph["file"]))
        fed = {
            t["name"]: (rng.uniform(0, 2, (cases, *t["shape"][1:]))).astype(t["dtype"])
            for t in graph["inputs"]
        }
        names = [t["name"] for t in graph["outputs"]]
        rows = [session.run(names, {k: v[i : i + 1] for k, v in fed.items()}) for i in range(cases)]
        arrays |= {f"{graph['role']}/{k}": v for k, v in fed.items()}
        for position, name in enumerate(names):
            arrays[f"{graph['role']}/{name}"] = np.concatenate([row[position] for row in rows])
    np.savez(folder / "golden.npz", **arrays)
    return {
        "file": "golden.npz",
        "sha256": sha256_of(folder / "golden.npz"),
        "cases": cases,
        "tolerance_fp32": 1e-4,
        "tolerance_fp16": 2e-2,
    }


_STREAMS = {
    "emotion": {"kind": "video", "rate_hz": None, "channels": ["rgb"], "units": ["rgb8"]},
    "sleep": {"kind": "eeg", "rate_hz": 100.0, "channels": ["Fpz-Cz"], "units": ["uV"]},
    "frailty": {
        "kind": "imu",
        "rate_hz": 100.0,
        "channels": list(IMU),
        "units": ["m/s^2"] * 3 + ["rad/s"] * 3,
    },
}
_CONDITIONING = {
    "emotion": {
        "kind": "face_crop",
        "size_px": 48,
        "margin": 0.1,
        "level_eyes": False,
        "min_face_px": 48,
        "detect_every": 3,
        "min_hits": 3,
        "track_lost_s": 0.4,
        "min_sharpness": 0.0,
        "min_exposure": 0.0,
        "max_exposure": 255.0,
        "max_saturated": 1.0,
        "max_turn": 0.5,
        "episodes": [],
    },
    "sleep": {
        "kind": "eeg_epoch",
        "max_missing_fraction": 0.2,
        "flat_below_uv": 0.5,
        "clipped_above_fraction": 0.05,
        "max_abs_uv": 1000.0,
        "movement_uv": 500.0,
        "max_movement_fraction": 0.5,
        "max_mains_share": 0.8,
        "estimate_every_s": None,
    },
    "frailty": {
        "kind": "gait_window",
        "max_missing_fraction": 0.05,
        "min_gyr_rms_radps": 0.5,
    },
    "strides": {
        "kind": "gait_strides",
        "parameters": ["stride_time_s_mean", "stride_length_m_mean", "hip_angle_deg_mean"],
        "max_missing_fraction": 0.2,
        "min_strides": 20,
    },
}
_WINDOWS = {
    "emotion": (1, 1),
    "sleep": (3000, 3000),
    "frailty": (200, 50),
    "strides": (100, 100),
}


_TASK_OF = {"strides": "frailty", "sleep_stateful": "sleep"}


def write_bundle(
    folder: Path, task: str, *, estimate_every_s: float | None = None, **rolling: object
) -> Path:
    """Write a tiny bundle of a task into ``folder/<task>`` and return that folder.

    Frailty by windows is ``frailty``, by gait parameters ``strides``. Sleep whose sequence model
    sees five epochs at once is ``sleep``, one step at a time ``sleep_stateful``.
    """
    out = folder / task
    out.mkdir(parents=True)
    kind, task = task, _TASK_OF.get(task, task)
    labels = LABELS[task]
    lookahead = rolling.pop("lookahead_windows", 2 if task == "sleep" else 0)
    if kind == "sleep_stateful":
        graphs = _stateful_sleep_graphs(out, min(lookahead, 2))
    elif task == "sleep":
        graphs = _sleep_graphs(out, length=5)
    elif task == "emotion":
        graphs = [_mean_model(out, "face", UINT8, [1, 1, 48, 48], len(labels))]
    elif kind == "strides":
        graphs = [_stride_model(out)]
    else:
        graphs = [_mean_model(out, "imu", FLOAT, [1, 6, 200], len(labels))]
    length, hop = _WINDOWS.get(kind, _WINDOWS[task])
    conditioning = dict(_CONDITIONING.get(kind, _CONDITIONING[task]))
    if task == "sleep":
        conditioning["estimate_every_s"] = estimate_every_s
    manifest = {
        "format_version": 1,
        "name": f"tiny_{kind}",
        "task": task,
        "labels": list(labels),
        "stream": {**_STREAMS[task], "placement": "test"},
        "window": {"length_samples": length, "hop_samples": hop},
        "conditioning": conditioning,
        "graphs": graphs,
        "rolling": {
            "time_constant_s": None,
            "enter_probability": 0.0,
            "leave_probability": 0.0,
            "min_dwell_s": 0.0,
            "lookahead_windows": lookahead,
            "min_evidence_s": 0.0,
            **rolling,
        },
        "calibration": {"temperature": 1.0, "fitted_on": "nothing"},
        "golden": _golden(out, graphs, cases=3),
        "training": {
            "commit": "none",
            "recipe": "none",
            "command": "none",
            "date": "2026-01-01",
            "seed": 0,
            "data": [
                {
                    "name": "made up",
                    "source": "tests",
                    "licence": "none",
                    "people": None,
                    "simulated": True,
                }
            ],
        },
        "metrics": [],
        "intended_use": "tests",
        "limits": "means nothing",
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    seal(out)
    return out
