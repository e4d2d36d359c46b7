package onebit.ops.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.JCudaDriver;

/** What this machine offers of CUDA and how to mend what is missing, a sentence per finding. */
public final class CudaDoctor {
  private CudaDoctor() {}

  /** Driver, devices, libraries, kernels and the emulated device; looks, and changes nothing but the private folder of natives. */
  public static List<String> findings() {
    List<String> lines = new ArrayList<>();
    CudaLibraries found = CudaLibraries.find();
    try {
      NativeLibraries.Loaded loaded = NativeLibraries.load(found);
      driver(lines);
      loaded.notes().forEach(lines::add);
    } catch (IOException missing) {
      lines.add("driver: missing, libcuda.so.1 cannot be loaded; mend with: apt-get install nvidia-driver-580-server (or your distribution's NVIDIA driver)");
    }
    lines.add(library("cuBLAS", found.cublas(), found.cublasVersion(), "nvidia-cublas"));
    lines.add(library("cuDNN", found.cudnn(), found.cudnnVersion(), "nvidia-cudnn-cu13"));
    boolean kernels = CudaDoctor.class.getResource("/onebit/kernels.fatbin") != null;
    lines.add(kernels ? "kernels: in this build, for sm_75, 80, 86, 89, 90a and PTX"
        : "kernels: not in this build, nvcc was missing; mend with: install CUDA's nvcc, then mvn package");
    String refusal = EmulatedDriver.refusal();
    lines.add(refusal == null ? "cuda-emulated: can be built here (for tests, not a GPU)" : refusal);
    return lines;
  }

  /** Why this process cannot have so many devices, in one sentence; null if it can. The driver is asked for their number and nothing else. */
  public static String refusal(int devices) {
    return refusal("libcuda.so.1", devices);
  }

  static String refusal(String driver, int devices) {
    try (Arena arena = Arena.ofConfined()) {
      SymbolLookup symbols = SymbolLookup.libraryLookup(driver, Arena.global());
      Linker linker = Linker.nativeLinker();
      MemorySegment count = arena.allocate(JAVA_INT);
      int code = (int) linker.downcallHandle(symbols.findOrThrow("cuInit"), FunctionDescriptor.of(JAVA_INT, JAVA_INT)).invokeExact(0);
      if (code == 0) code = (int) linker.downcallHandle(symbols.findOrThrow("cuDeviceGetCount"), FunctionDescriptor.of(JAVA_INT, ADDRESS)).invokeExact(count);
      if (code != 0) return CudaException.driver("cuInit", code, "").getMessage();
      int there = count.get(JAVA_INT, 0);
      return there >= devices ? null : "the CUDA driver shows " + there + (there == 1 ? " device" : " devices") + "; `nvidia-smi -L` lists all, and CUDA_VISIBLE_DEVICES may hide some";
    } catch (IllegalArgumentException missing) {
      return "no CUDA driver: " + driver + " cannot be loaded; install the NVIDIA driver, or compute on the CPU";
    } catch (Throwable e) {
      throw new IllegalStateException("the CUDA driver could not be asked for its devices", e);
    }
  }

  private static void driver(List<String> lines) {
    int code = JCudaDriver.cuInit(0);
    if (code != 0) {
      lines.add(CudaException.driver("driver: cuInit", code, "").getMessage());
      return;
    }
    int[] version = new int[1], count = new int[1];
    JCudaDriver.cuDriverGetVersion(version);
    JCudaDriver.cuDeviceGetCount(count);
    lines.add("driver: CUDA " + version[0] / 1000 + "." + version[0] % 1000 / 10 + ", " + count[0] + " devices");
    for (int i = 0; i < count[0]; i++) {
      CUdevice device = new CUdevice();
      byte[] name = new byte[256];
      long[] bytes = new long[1];
      int[] major = new int[1], minor = new int[1];
      JCudaDriver.cuDeviceGet(device, i);
      JCudaDriver.cuDeviceGetName(name, name.length, device);
      JCudaDriver.cuDeviceTotalMem(bytes, device);
      JCudaDriver.cuDeviceGetAttribute(major, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
      JCudaDriver.cuDeviceGetAttribute(minor, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
      String bits = "bit products: " + BitProduct.of(major[0] * 10 + minor[0]);
      lines.add("device cuda:" + i + ": " + new String(name).replace("\0", "").strip() + ", compute capability " + major[0] + "." + minor[0] + ", "
          + (bytes[0] >> 20) + " MiB, " + bits);
    }
  }

  private static String library(String name, Optional<Path> file, int version, String wheel) {
    return file.map(path -> name + ": " + version + " at " + path)
        .orElse(name + ": missing; mend with: pip install --user " + wheel + " (or name its folder in ONEBIT_CUDA_LIBS)");
  }
}
