"""How familiar a picture is, by the Mahalanobis distance of its features to those of the training photos."""

import torch
from torch import nn

# The directions in which the features vary most; in all others they vary alike.
DIRECTIONS = 128


class Familiarity(nn.Module):
    """Features [N,D] of length 1 to how familiar they are [N], 0..=1: 1 / (1 + d² / m), where d is the distance to the nearest
    class and m the mean of d² in training.

    The classes share one covariance (Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, NeurIPS
    2018), and features have length 1 (Müller and Hein, Mahalanobis++, ICML 2025). The covariance is that of probabilistic PCA:
    the largest eigenvalues, and the mean of the others in their place (Tipping and Bishop, Journal of the Royal Statistical
    Society B, 1999).
    """

    def __init__(self, features, labels):
        """Fits training features [N,D] of length 1 with labels [N]."""
        super().__init__()
        classes = labels.unique()
        means = torch.stack([features[labels == label].mean(0) for label in classes])
        spread = features - means[torch.searchsorted(classes, labels)]
        variances, axes = torch.linalg.eigh(spread.double().T @ spread.double() / len(spread))
        directions = min(DIRECTIONS, len(spread) // 2, len(variances) - 1)
        common = variances[:-directions].mean()
        # A direction adds less to the square of the distance than it would with the common variance, by this share.
        less = (1 - common / variances[-directions:]).clamp(min=0)
        # The file stores both as float16.
        self.register_buffer("means", means.half().float())
        self.register_buffer("axes", (axes[:, -directions:] * less.sqrt()).half().float())
        self.common = common.item()
        self.mean = self.squares(features).mean().item()

    def squares(self, features):
        """The square of the distance to the nearest class [N]."""
        apart = features[:, None] - self.means
        return ((apart**2).sum(2) - ((apart @ self.axes) ** 2).sum(2)).amin(1) / self.common

    def forward(self, features):
        return 1 / (1 + self.squares(features) / self.mean)
