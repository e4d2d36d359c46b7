"""Training steps of ResNet-18 at 224, batch 256, in PyTorch: AdaBin's mathematics and torchvision's full-precision network, eager and compiled.

bfloat16 autocast, channels last, SGD with momentum, random images on the device; forward, loss, backward, update.
"""
import statistics
import traceback

import torch
import torch.nn.functional as F

from adabin import AdaBinResNet18
from measure import options, peak_gigabytes, row, seconds, spread


def way(compiled, given):
    return f"compiled, mode {given.compile_mode}" if compiled else "eager"


def measured(what, network, compiled, given):
    batch, extent, rounds, warmup = (2, 64, 2, 1) if given.quick else (256, 224, 30, 10)
    network = network.to(given.device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-5)
    images = [torch.randn(batch, 3, extent, extent, device=given.device).to(memory_format=torch.channels_last) for _ in range(2)]
    labels = torch.randint(0, 1000, (batch,), device=given.device)
    forward = torch.compile(network, mode=given.compile_mode) if compiled else network
    if given.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def step(i):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(given.device, torch.bfloat16):
            loss = F.cross_entropy(forward(images[i % 2]), labels)
        loss.backward()
        optimizer.step()

    times = seconds(step, given.device, rounds, warmup)
    median = statistics.median(times)
    row(f"step of {what}, {way(compiled, given)}, batch {batch}",
        f"{batch / median:.0f} images/s, {median * 1e3:.2f} ms +- {spread(times):.1%}, peak {peak_gigabytes(given.device):.2f} GB")


def main():
    given = options(__doc__)
    networks = [("AdaBin ResNet-18 in PyTorch, bf16", AdaBinResNet18)]
    try:
        import torchvision
        networks.append(("torchvision ResNet-18, AMP", lambda: torchvision.models.resnet18(weights=None)))
    except (ImportError, RuntimeError) as missing:   # a torchvision made for another PyTorch raises RuntimeError
        row("step of torchvision ResNet-18", f"torchvision cannot be used: {missing}")
    failed = False
    for compiled in (False, True):
        for what, make in networks:
            try:
                measured(what, make(), compiled, given)
            except Exception as fault:   # a compiler that is missing, memory that is too little: the others are measured all the same
                failed = True
                traceback.print_exc()
                row(f"step of {what}, {way(compiled, given)}", f"failed: {type(fault).__name__}: {(str(fault).strip() or '-').splitlines()[0][:200]}")
            torch._dynamo.reset()
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
