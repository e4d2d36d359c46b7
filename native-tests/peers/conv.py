"""cuDNN's bfloat16 convolution forward, channels last, autotuned, at the seven 3x3 shapes of ResNet-18: the peer of the binary convolution."""
import statistics

import torch
import torch.nn.functional as F

from measure import options, row, seconds, spread

# channels, extent, filters, stride, how many such layers the network has
SHAPES = [(64, 56, 64, 1, 4), (64, 56, 128, 2, 1), (128, 28, 128, 1, 3), (128, 28, 256, 2, 1), (256, 14, 256, 1, 3), (256, 14, 512, 2, 1), (512, 7, 512, 1, 3)]


def main():
    given = options(__doc__)
    batch, rounds, warmup = (2, 3, 1) if given.quick else (256, 50, 10)
    total = 0.0
    for channels, extent, filters, stride, layers in SHAPES:
        x = [torch.randn(batch, channels, extent, extent, device=given.device, dtype=torch.bfloat16).to(memory_format=torch.channels_last) for _ in range(3)]
        w = torch.randn(filters, channels, 3, 3, device=given.device, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
        with torch.no_grad():
            times = seconds(lambda i: F.conv2d(x[i % 3], w, stride=stride, padding=1), given.device, rounds, warmup)
        median = statistics.median(times)
        out = (extent + stride - 1) // stride
        work = 2 * batch * out * out * filters * channels * 9
        total += layers * median
        row(f"bf16 conv {channels} to {filters} at {extent}, stride {stride}, batch {batch}", f"{median * 1e6:.1f} us +- {spread(times):.1%}, {work / median / 1e12:.1f} TFLOP/s")
    row("bf16 conv forward of ResNet-18's binary layers", f"{total * 1e3:.3f} ms")


if __name__ == "__main__":
    main()
