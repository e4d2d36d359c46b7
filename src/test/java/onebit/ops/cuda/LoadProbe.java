package onebit.ops.cuda;

import java.nio.file.Path;
import jcuda.driver.JCudaDriver;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasHandle;
import jcuda.jcudnn.JCudnn;

/** A JVM of its own for {@link NativeLibrariesTest}: loads JCuda with the CUDA libraries of one folder and asks each for its version. */
final class LoadProbe {
  private LoadProbe() {}

  public static void main(String[] arguments) throws Exception {
    if (arguments.length > 1 && arguments[1].equals("on-library-path")) {
      System.load(Path.of(arguments[0], "libcuda.so.1").toString());
      System.out.println("driver " + JCudaDriver.cuInit(0));
      return;
    }
    NativeLibraries.Loaded loaded = NativeLibraries.load(CudaLibraries.in(Path.of(arguments[0])));
    int[] version = new int[1];
    JCublas2.cublasGetVersion(new cublasHandle(), version);
    System.out.println("driver " + JCudaDriver.cuInit(0) + " cublas " + version[0] + " cudnn " + JCudnn.cudnnGetVersion() + " notes " + loaded.notes());
  }
}
