"""Matrix products of cuBLAS through PyTorch, bfloat16 and int8: the peers of the binary product. Random data, buffers taken in turn."""
import statistics

import torch

from measure import options, row, seconds, spread


def main():
    given = options(__doc__)
    sizes = [64] if given.quick else [4096, 8192]
    rounds, warmup = (3, 1) if given.quick else (50, 10)
    for n in sizes:
        a = [torch.randn(n, n, device=given.device, dtype=torch.bfloat16) for _ in range(3)]
        b = [torch.randn(n, n, device=given.device, dtype=torch.bfloat16) for _ in range(3)]
        y = torch.empty(n, n, device=given.device, dtype=torch.bfloat16)
        times = seconds(lambda i: torch.mm(a[i % 3], b[i % 3], out=y), given.device, rounds, warmup)
        row(f"bf16 GEMM {n}", f"{2 * n**3 / statistics.median(times) / 1e12:.1f} TFLOP/s, {statistics.median(times) * 1e3:.3f} ms +- {spread(times):.1%}")
        del a, b, y
        a = [torch.randint(-128, 128, (n, n), device=given.device, dtype=torch.int8) for _ in range(3)]
        b = [torch.randint(-128, 128, (n, n), device=given.device, dtype=torch.int8).t() for _ in range(3)]
        try:
            times = seconds(lambda i: torch._int_mm(a[i % 3], b[i % 3]), given.device, rounds, warmup)
            row(f"int8 GEMM {n}", f"{2 * n**3 / statistics.median(times) / 1e12:.1f} TOP/s, {statistics.median(times) * 1e3:.3f} ms +- {spread(times):.1%}")
        except RuntimeError as refused:
            row(f"int8 GEMM {n}", f"refused by this PyTorch: {str(refused).splitlines()[0]}")


if __name__ == "__main__":
    main()
