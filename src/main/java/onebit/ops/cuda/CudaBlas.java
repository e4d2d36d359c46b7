package onebit.ops.cuda;

import jcuda.Pointer;
import jcuda.cudaDataType;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasComputeType;
import jcuda.jcublas.cublasGemmAlgo;
import jcuda.jcublas.cublasHandle;
import jcuda.jcublas.cublasOperation;
import jcuda.jcublas.cublasStatus;
import jcuda.runtime.cudaStream_t;
import onebit.tensor.ElementType;

/** cuBLAS on the device's stream, float32 without TF32 and bfloat16, with a workspace of its own so that results repeat. */
final class CudaBlas implements AutoCloseable {
  private static final long WORKSPACE_BYTES = 32 << 20;

  private final CudaDevice device;
  private final cublasHandle handle = new cublasHandle();
  private final Pointer one = Pointer.to(new float[] {1});
  private final Pointer zero = Pointer.to(new float[] {0});

  /** @throws CudaException if there is no cuBLAS */
  CudaBlas(CudaDevice device) {
    this.device = device;
    if (!device.libraries().cublas()) {
      throw new CudaException("cuBLAS: linear layers on the GPU need libcublas.so.12 or .13, which was not found; set ONEBIT_CUDA_LIBS to its folder, "
          + "`onebit doctor` lists the folders searched, or let the own slow kernels do it with --set train.realProducts=own", 0);
    }
    device.enter();
    check("cublasCreate", JCublas2.cublasCreate(handle));
    check("cublasSetStream", JCublas2.cublasSetStream(handle, new cudaStream_t(device.stream())));
    check("cublasSetWorkspace", JCublas2.cublasSetWorkspace(handle, device.allocate(WORKSPACE_BYTES).pointer(), WORKSPACE_BYTES));
  }

  private static void check(String call, int status) {
    if (status != 0) throw new CudaException(call + ": " + cublasStatus.stringFor(status) + " (code " + status + "); `onebit doctor` shows the libraries in use", status);
  }

  /**
   * Row major c [m][n] = op(a) op(b), sums in float32: for cuBLAS, which counts columns first, the transposed product of swapped factors.
   *
   * <p>Factors of float32 give float32; factors of bfloat16 give either type.
   */
  void gemm(DeviceMemory c, ElementType result, DeviceMemory a, boolean transposeA, DeviceMemory b, boolean transposeB, ElementType factors, int m, int n,
      int k) {
    device.timed(() -> "cuBLAS gemm", () -> multiply(c, result, a, transposeA, b, transposeB, factors, m, n, k));
  }

  private void multiply(DeviceMemory c, ElementType result, DeviceMemory a, boolean transposeA, DeviceMemory b, boolean transposeB, ElementType factors, int m, int n,
      int k) {
    device.enter();
    int rowB = transposeB ? k : n, rowA = transposeA ? m : k, status;
    if (factors == ElementType.FLOAT32) {
      status = JCublas2.cublasSgemm(handle, operation(transposeB), operation(transposeA), n, m, k, one, b.pointer(), rowB, a.pointer(), rowA, zero,
          c.pointer(), n);
    } else {
      status = JCublas2.cublasGemmEx_new(handle, operation(transposeB), operation(transposeA), n, m, k, one, b.pointer(), cudaDataType.CUDA_R_16BF, rowB,
          a.pointer(), cudaDataType.CUDA_R_16BF, rowA, zero, c.pointer(), result == ElementType.FLOAT32 ? cudaDataType.CUDA_R_32F : cudaDataType.CUDA_R_16BF,
          n, cublasComputeType.CUBLAS_COMPUTE_32F, cublasGemmAlgo.CUBLAS_GEMM_DEFAULT);
    }
    if (status != 0) check((factors == ElementType.FLOAT32 ? "cublasSgemm of " : "cublasGemmEx of ") + m + "x" + k + " by " + k + "x" + n, status);
  }

  private static int operation(boolean transposed) {
    return transposed ? cublasOperation.CUBLAS_OP_T : cublasOperation.CUBLAS_OP_N;
  }

  @Override
  public void close() {
    JCublas2.cublasDestroy(handle);
  }
}
