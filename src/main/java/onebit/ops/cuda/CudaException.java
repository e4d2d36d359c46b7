package onebit.ops.cuda;

import java.io.IOException;
import java.io.UncheckedIOException;

/** Trouble with the device or its libraries, in words: the call, its code, what it was given, and what to try. */
public final class CudaException extends UncheckedIOException {
  private final int code;

  public CudaException(String message, int code) {
    super(message, new IOException(message));
    this.code = code;
  }

  /** The code of the driver, cuBLAS or cuDNN; 0 when none of them spoke. */
  public int code() {
    return code;
  }

  static CudaException driver(String call, int code, String given) {
    return new CudaException(call + ": " + jcuda.driver.CUresult.stringFor(code) + " (code " + code + ")" + (given.isEmpty() ? "" : ", " + given)
        + found() + hint(code), code);
  }

  private static String found() {
    String words = EmulatedDriver.lastError();
    return words.isEmpty() ? "" : ": " + words;
  }

  private static String hint(int code) {
    return switch (code) {
      case 2 -> "; the device's memory is full: `train --memory-limit SIZE` takes what fits, as does a smaller data.batch; nvidia-smi shows what other programs hold";
      case 100, 101 -> "; no such device: `nvidia-smi -L` lists what the driver sees, and CUDA_VISIBLE_DEVICES may hide some";
      case 200, 209, 218, 222 -> "; the kernels in this build are not for this device, or its driver is older than the CUDA that compiled them (nvidia-smi shows the driver's): "
          + "build with nvcc on a machine that has it (mvn package), or update the driver";
      case 214 -> "; the device's memory is damaged, what was computed since the last checkpoint is lost: start the run again, on another device where it happens again (nvidia-smi -q -d ECC)";
      case 500 -> "; the kernel image is older than the program: run mvn package again";
      case 700, 716, 719 -> "; a kernel read or wrote outside its tensors: --device cuda-emulated names kernel, block and thread";
      case 803, 804 -> "; the driver is older than its libraries: update the driver, or restart after an update";
      default -> "; `onebit doctor` shows driver, device and libraries";
    };
  }
}
