"""DeepConvLSTM of the frailty paper: one window of a foot's movement to three classes.

Amjad, Szczesna, Blaszczyszyn: "Deep Learning for Frailty Classification Using Raw Inertial Sensor
Gait Data", SciTePress 2025, paper 131273. What the paper leaves open follows mcfly (NLeSC), which
its authors used; network: Ordonez and Roggen 2016, doi 10.3390/s16010115.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from trainer.features.wavelet import HaarWavedec, coefficient_lengths

N_CHANNELS = 6
FILTERS = 54
LSTM_UNITS = (29, 95, 94, 46)
KERNEL = 3
OUTLIER_SHARE = 1e-4
"""Share of the training samples of a channel beyond either limit of the outlier removal."""


class DeepConvLstm(nn.Module):
    """Classify 2 s of walking by the sequence of its wavelet coefficients.

    Input ``imu`` (batch, 6, n_samples): m/s^2 and rad/s in the sensor's axes. Output: logits
    (batch, n_labels). In order: outliers are clipped, channels standardised, both by constants of
    the training windows; the wavelet transform gives 203 steps of 6 values (for 200 samples);
    BatchNorm; 54 convolutions along the steps, each channel alone; four LSTMs; dropout; a dense
    layer, whose answer at the last step counts.

    Args:
        n_labels: classes.
        n_samples: samples of a window.
        dropout: share of the last LSTM's outputs dropped in training.
        l2: pull on the weights of the convolution and of the dense layer, where mcfly has it: the
            gradient of ``l2`` times the sum of their squares is added while training.

    Differs from the paper: the rule of outlier removal is not given there (here: clip at the
    training windows' quantiles ``OUTLIER_SHARE`` and 1 - ``OUTLIER_SHARE`` of each channel); the
    scaler knows the training people only; torch's LSTM has a second bias vector; BatchNorm keeps
    torch's momentum 0.1 and epsilon 1e-5 (Keras: 0.01 and 1e-3). Dense and softmax of the steps
    before the last are left out, because nothing reads them.
    """

    def __init__(
        self, n_labels: int, *, n_samples: int = 200, dropout: float = 0.5, l2: float = 0.0
    ) -> None:
        super().__init__()
        for name, value in (("lowest", -np.inf), ("highest", np.inf), ("mean", 0.0), ("std", 1.0)):
            self.register_buffer(name, torch.full((N_CHANNELS, 1), value))
        self.register_buffer("log_prior", torch.zeros(n_labels))
        self.wavelet = HaarWavedec(n_samples)
        self.steps = sum(coefficient_lengths(n_samples))
        self.input_norm = nn.BatchNorm1d(N_CHANNELS)
        self.convolution = nn.Conv2d(1, FILTERS, (KERNEL, 1), padding=(KERNEL // 2, 0))
        self.norm = nn.BatchNorm2d(FILTERS)
        sizes = (FILTERS * N_CHANNELS, *LSTM_UNITS)
        self.lstms = nn.ModuleList(
            nn.LSTM(size, units, batch_first=True) for size, units in pairwise(sizes)
        )
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(LSTM_UNITS[-1], n_labels)
        self._start_as_keras()
        for weight in (self.convolution.weight, self.head.weight):
            weight.register_hook(partial(_with_pull, weight=weight, l2=l2))  # type: ignore[no-untyped-call]

    def standardise_by(self, imu: Tensor) -> None:
        """Set limits, mean and standard deviation from ``(n, 6, n_samples)`` training windows."""
        for channel in range(N_CHANNELS):
            values = imu[:, channel].numpy().ravel()
            low, high = np.quantile(values, (OUTLIER_SHARE, 1.0 - OUTLIER_SHARE))
            kept = np.clip(values, low, high)
            std = max(float(kept.std(dtype=np.float64)), 1e-3)
            constants = {"lowest": low, "highest": high, "mean": kept.mean(dtype=np.float64)}
            for name, value in (*constants.items(), ("std", std)):
                self.get_buffer(name)[channel, 0] = float(value)

    def train_as_if_balanced(self, targets: Tensor) -> None:
        """Take the classes' shares among the training targets out of the answer.

        While training, the logarithm of each class's share is added to its logit; afterwards it is
        not, so the answer is what it would be if all classes were equally frequent.

        Args:
            targets: (n,) classes of the training windows, every class among them.

        Source: Menon et al. 2021, arXiv 2007.07314, logit-adjusted loss with tau 1.
        """
        log_prior = self.get_buffer("log_prior")
        counts = torch.bincount(targets, minlength=len(log_prior)).float()
        log_prior.copy_((counts / counts.sum()).log())

    def forward(self, imu: Tensor) -> Tensor:
        """Return the logits of each window."""
        lowest, highest, mean, std = map(self.get_buffer, ("lowest", "highest", "mean", "std"))
        standardised = (torch.minimum(torch.maximum(imu, lowest), highest) - mean) / std
        steps = self.input_norm(self.wavelet(standardised))  # (n, 6, steps)
        filtered = self.norm(self.convolution(steps.transpose(1, 2).unsqueeze(1))).relu()
        sequence = filtered.transpose(1, 2).reshape(-1, self.steps, FILTERS * N_CHANNELS)
        for lstm in self.lstms:
            sequence, _ = lstm(sequence)
        logits: Tensor = self.head(self.drop(sequence[:, -1]))
        return logits + self.get_buffer("log_prior") if self.training else logits

    def _start_as_keras(self) -> None:
        """Draw the first weights as mcfly's Keras layers do."""
        nn.init.uniform_(self.convolution.weight, -((3 / KERNEL) ** 0.5), (3 / KERNEL) ** 0.5)
        nn.init.xavier_uniform_(self.head.weight)
        for layer in (self.convolution, self.head):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        for lstm, units in zip(self.lstms, LSTM_UNITS, strict=True):
            for name, weights in lstm.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(weights)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(weights)
                else:
                    nn.init.zeros_(weights)
                if name.startswith("bias_ih"):
                    nn.init.ones_(weights[units : 2 * units])  # the gate that keeps


def _with_pull(gradient: Tensor, *, weight: Tensor, l2: float) -> Tensor:
    """Return a gradient with that of ``l2 * sum(weight ** 2)`` added."""
    return gradient + 2.0 * l2 * weight.detach()
