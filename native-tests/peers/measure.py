"""Times of a PyTorch callable by device events, and rows for the table of gpu-check.sh."""
import argparse
import statistics
import time

import torch


def options(about):
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the program out")
    parser.add_argument("--quick", action="store_true", help="small sizes and two rounds, to try the program out")
    parser.add_argument("--compile-mode", default="default", help="of torch.compile, where a program compiles; max-autotune-no-cudagraphs takes minutes a network")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch sees no GPU here; --device cpu --quick tries the program out")
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    name = torch.cuda.get_device_name() if given.device == "cuda" else "the CPU"
    print(f"torch {torch.__version__} on {name}", flush=True)
    return given


def seconds(work, device, rounds, warmup):
    """Seconds of each round, after the warm-up; work(i) is given the round, so that it can take turns among its buffers."""
    for i in range(warmup):
        work(i)
    if device == "cpu":
        times = []
        for i in range(rounds):
            begin = time.perf_counter()
            work(i)
            times.append(time.perf_counter() - begin)
        return times
    torch.cuda.synchronize()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(rounds)]
    for i, (begin, end) in enumerate(events):
        begin.record()
        work(i)
        end.record()
    torch.cuda.synchronize()
    return [begin.elapsed_time(end) / 1e3 for begin, end in events]


def spread(times):
    """Half the distance between the quartiles, as a share of the median."""
    if len(times) < 4:
        return 0.0
    quarters = statistics.quantiles(times, n=4)
    return (quarters[2] - quarters[0]) / 2 / statistics.median(times)


def row(what, result):
    """One line that gpu-check.sh copies into its table."""
    print(f"ROW\t{what}\t{result}", flush=True)


def peak_gigabytes(device):
    return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else float("nan")
