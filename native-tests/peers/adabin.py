"""AdaBin ResNet-18 for ImageNet and ResNet-20 for CIFAR-10 as PyTorch modules: the mathematics of Tu et al. 2022 (arXiv 2208.08084) without custom kernels.

Weights: centre = mean, distance = biased deviation per filter, value = distance * sign(w_hat) + centre, sign with slope k t (1 - tanh^2(t w_hat)),
nothing detached. Activations: u = (x - beta) / alpha, value = alpha (sign(u) + beta), slope max(0, 2 - 2 |u|); alpha and beta learned scalars.
"""
import torch
import torch.nn.functional as F
from torch import nn


class WeightSign(torch.autograd.Function):
    @staticmethod
    def forward(context, u, k, t):
        context.save_for_backward(u)
        context.k, context.t = k, t
        return torch.where(u >= 0, u.new_ones(()), -u.new_ones(()))

    @staticmethod
    def backward(context, gradient):
        (u,) = context.saved_tensors
        return gradient * (context.k * context.t * (1 - torch.tanh(context.t * u) ** 2)), None, None


class ActivationSign(torch.autograd.Function):
    @staticmethod
    def forward(context, u):
        context.save_for_backward(u)
        return torch.where(u >= 0, u.new_ones(()), -u.new_ones(()))

    @staticmethod
    def backward(context, gradient):
        (u,) = context.saved_tensors
        return gradient * (2 - 2 * u.abs()).clamp(min=0)


def substituted_sign(u):
    """The same value and slope without a custom function, as the released code writes it: sign forward, a piecewise polynomial backward."""
    inner = torch.where(u < 0, u * u + 2 * u, 2 * u - u * u)
    polynomial = torch.where(u.abs() < 1, inner, torch.sign(u))
    return torch.sign(u).detach() - polynomial.detach() + polynomial


class AdaBinConv2d(nn.Module):
    activation_sign = staticmethod(ActivationSign.apply)

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(filters, channels, 3, 3) * (2 / (9 * filters)) ** 0.5)
        self.alpha = nn.Parameter(torch.ones(()))
        self.beta = nn.Parameter(torch.zeros(()))
        self.stride = stride
        self.k, self.t = 1000.0, 1e-3   # the schedule's first epoch

    def forward(self, x):
        w = self.weight
        centre = w.mean((1, 2, 3), keepdim=True)
        distance = (w - centre).square().mean((1, 2, 3), keepdim=True).sqrt()
        w = distance * WeightSign.apply((w - centre) / distance, self.k, self.t) + centre
        alpha, beta = self.alpha.to(x.dtype), self.beta.to(x.dtype)
        x = alpha * (self.activation_sign((x - beta) / alpha) + beta)
        return F.conv2d(x, w.to(x.dtype), stride=self.stride, padding=1)


class Maxout(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.positive = nn.Parameter(torch.ones(channels, 1, 1))
        self.negative = nn.Parameter(torch.full((channels, 1, 1), 0.25))

    def forward(self, x):
        return self.positive.to(x.dtype) * x.clamp(min=0) + self.negative.to(x.dtype) * x.clamp(max=0)


class Block(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1, self.norm1, self.maxout1 = AdaBinConv2d(channels, filters, stride), nn.BatchNorm2d(filters), Maxout(filters)
        self.conv2, self.norm2, self.maxout2 = AdaBinConv2d(filters, filters, 1), nn.BatchNorm2d(filters), Maxout(filters)
        self.shortcut = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False), nn.Conv2d(channels, filters, 1, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        x = self.maxout1(self.norm1(self.conv1(x)) + self.shortcut(x))
        return self.maxout2(self.norm2(self.conv2(x)) + x)


class AdaBinResNet18(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), Maxout(64), nn.MaxPool2d(3, 2, 1))
        layers, channels = [], 64
        for filters in (64, 128, 256, 512):
            for i in range(2):
                layers.append(Block(channels, filters, 2 if i == 0 and filters != 64 else 1))
                channels = filters
        self.blocks = nn.Sequential(*layers)
        self.norm, self.linear = nn.BatchNorm1d(512), nn.Linear(512, classes)

    def forward(self, x):
        return self.linear(self.norm(self.blocks(self.stem(x)).mean((2, 3))))


class SubsamplePad(nn.Module):
    """Shortcut option A: every second pixel, channels centred between zeros."""

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, x.shape[1] // 2, x.shape[1] // 2))


class AdaBinResNet20(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), Maxout(16))
        layers, channels = [], 16
        for filters in (16, 32, 64):
            for i in range(3):
                stride = 2 if i == 0 and filters != 16 else 1
                layers.append(Block(channels, filters, stride))
                if stride != 1:
                    layers[-1].shortcut = SubsamplePad()
                channels = filters
        self.blocks = nn.Sequential(*layers)
        self.norm, self.linear = nn.BatchNorm1d(64), nn.Linear(64, classes)

    def forward(self, x):
        return self.linear(self.norm(self.blocks(self.stem(x)).mean((2, 3))))
