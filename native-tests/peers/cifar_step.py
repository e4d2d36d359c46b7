"""One training step of AdaBin ResNet-20 on CIFAR-sized images in PyTorch, float32, batch 128: the peer of `onebit bench step`.

    python3 native-tests/peers/cifar_step.py --device cpu [--threads N] [--compile] [--substituted]
"""
import argparse
import statistics
import time

import torch
import torch.nn.functional as F

from adabin import AdaBinConv2d, AdaBinResNet20, substituted_sign

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--device", default="cpu")
parser.add_argument("--threads", type=int, default=torch.get_num_threads())
parser.add_argument("--compile", action="store_true")
parser.add_argument("--substituted", action="store_true", help="the activation's sign by value substitution, as in the released code")
given = parser.parse_args()
if given.substituted:
    AdaBinConv2d.activation_sign = staticmethod(substituted_sign)
torch.set_num_threads(given.threads)
torch.manual_seed(1)
model = AdaBinResNet20().to(given.device)
assert sum(p.numel() for p in model.parameters()) == 271262
optimizer = torch.optim.SGD(model.parameters(), 0.001, momentum=0.9, weight_decay=1e-4)
images, labels = torch.randn(128, 3, 32, 32, device=given.device), torch.randint(0, 10, (128,), device=given.device)
forward = torch.compile(model) if given.compile else model


def step():
    optimizer.zero_grad()
    loss = F.cross_entropy(forward(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


times = []
for i in range(15):
    begin = time.perf_counter()
    step()
    if i >= 5:
        times.append(time.perf_counter() - begin)
print(f"torch {torch.__version__}, {given.threads} thread(s), {'compiled' if given.compile else 'eager'}{', value substitution' if given.substituted else ''}: median {statistics.median(times):.3f} s "
      f"({min(times):.3f} to {max(times):.3f}), {128 / statistics.median(times):.0f} images/s")
