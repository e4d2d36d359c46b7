package onebit.ops.cuda;

import static jcuda.driver.JCudaDriver.*;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Random;
import jcuda.Pointer;
import jcuda.Sizeof;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUfunction;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasHandle;
import jcuda.jcublas.cublasOperation;
import jcuda.jcudnn.JCudnn;
import jcuda.jcudnn.cudnnConvolutionDescriptor;
import jcuda.jcudnn.cudnnConvolutionFwdAlgoPerf;
import jcuda.jcudnn.cudnnConvolutionMode;
import jcuda.jcudnn.cudnnDataType;
import jcuda.jcudnn.cudnnFilterDescriptor;
import jcuda.jcudnn.cudnnHandle;
import jcuda.jcudnn.cudnnTensorDescriptor;
import jcuda.jcudnn.cudnnTensorFormat;
import jcuda.runtime.cudaStream_t;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The unmodified JCuda on the emulated device: driver, cuBLAS and cuDNN calls against plain loops. */
class EmulatedDeviceTest {
  private static final CUcontext CONTEXT = new CUcontext();
  private static final CUmodule MODULE = new CUmodule();
  private static final Random RANDOM = new Random(5);
  private static final List<Path> KERNELS = List.of(Path.of("native-tests/hostcuda/test/test_kernels.cu"));
  private static boolean loaded;

  @BeforeAll
  static void loadDevice() throws Exception {
    Path folder = EmulatedDevice.load("emulated_device_test", KERNELS);
    loaded = true;
    throwExceptions(true);
    cuInit(0);
    CUdevice device = new CUdevice();
    cuDeviceGet(device, 0);
    cuDevicePrimaryCtxRetain(CONTEXT, device);
    cuCtxPushCurrent(CONTEXT);
    cuModuleLoadData(MODULE, Files.readAllBytes(folder.resolve("emulated_device_test.module")));
  }

  /** Other tests of this JVM look at statuses; without a compiler there is no device, and JCuda was never loaded. */
  @AfterAll
  static void leaveStatuses() {
    if (loaded) throwExceptions(false);
  }

  private static void throwExceptions(boolean on) {
    setExceptionsEnabled(on);
    JCublas2.setExceptionsEnabled(on);
    JCudnn.setExceptionsEnabled(on);
  }


  private static CUdeviceptr upload(float[] values) {
    CUdeviceptr p = new CUdeviceptr();
    cuMemAlloc(p, (long) values.length * Sizeof.FLOAT);
    cuMemcpyHtoD(p, Pointer.to(values), (long) values.length * Sizeof.FLOAT);
    return p;
  }

  private static float[] download(CUdeviceptr p, int n) {
    float[] values = new float[n];
    cuMemcpyDtoH(Pointer.to(values), p, (long) n * Sizeof.FLOAT);
    return values;
  }

  private static float[] random(int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = RANDOM.nextInt(-8, 9) / 4f;   // exact in any order of summation
    }
    return values;
  }

  private static void add(CUstream stream, CUdeviceptr c, CUdeviceptr a, CUdeviceptr b, int n) {
    CUfunction function = new CUfunction();
    cuModuleGetFunction(function, MODULE, "vector_add");
    Pointer arguments = Pointer.to(Pointer.to(c), Pointer.to(a), Pointer.to(b), Pointer.to(new int[] {n}));
    cuLaunchKernel(function, (n + 255) / 256, 1, 1, 256, 1, 1, 0, stream, arguments, null);
  }

  /** Ranks that start together each call build.sh: one may read the image while another checks whether it is fresh. */
  @Test
  void anotherBuildLeavesTheImageAProcessMayBeReadingAlone() throws Exception {
    Path image = Path.of("target/hostcuda", System.getProperty("onebit.hostcuda", "normal"), "emulated_device_test.module");
    BasicFileAttributes before = Files.readAttributes(image, BasicFileAttributes.class);
    EmulatedDevice.build(System.getProperty("onebit.hostcuda", "normal"), "emulated_device_test", KERNELS);
    BasicFileAttributes after = Files.readAttributes(image, BasicFileAttributes.class);
    assertEquals(before.fileKey(), after.fileKey());
    assertEquals(before.lastModifiedTime(), after.lastModifiedTime());
  }

  @Test
  void aKernelLaunchedThroughJCudaAddsAndIsCounted() {
    int n = 1000;
    float[] a = random(n);
    float[] b = random(n);
    long live = EmulatedDevice.counter("live_bytes");
    EmulatedDevice.resetCounters();
    CUdeviceptr da = upload(a);
    CUdeviceptr db = upload(b);
    CUdeviceptr dc = upload(new float[n]);
    add(null, dc, da, db, n);
    cuCtxSynchronize();
    float[] c = download(dc, n);
    for (int i = 0; i < n; i++) {
      assertEquals(a[i] + b[i], c[i]);
    }
    assertEquals(1, EmulatedDevice.counter("launches:vector_add"));
    assertEquals(3 * 4 * n, EmulatedDevice.counter("bytes_to_device"));
    assertEquals(4 * n, EmulatedDevice.counter("bytes_to_host"));
    assertEquals(live + 3 * 4 * n, EmulatedDevice.counter("peak_bytes"));
    cuMemFree(da);
    cuMemFree(db);
    cuMemFree(dc);
    assertEquals(live, EmulatedDevice.counter("live_bytes"));
  }

  @Test
  void aCapturedGraphRepeatsItsLaunches() {
    CUstream stream = new CUstream();
    cuStreamCreate(stream, 0);
    CUdeviceptr a = upload(new float[] {1, 2, 3});
    CUdeviceptr b = upload(new float[] {10, 20, 30});
    cuStreamBeginCapture(stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL);
    add(stream, a, a, b, 3);
    CUgraph graph = new CUgraph();
    cuStreamEndCapture(stream, graph);
    CUgraphExec executable = new CUgraphExec();
    cuGraphInstantiate(executable, graph, 0);
    cuGraphLaunch(executable, stream);
    cuGraphLaunch(executable, stream);
    cuStreamSynchronize(stream);
    assertArrayEquals(new float[] {21, 42, 63}, download(a, 3));
    cuGraphExecDestroy(executable);
    cuGraphDestroy(graph);
    cuMemFree(a);
    cuMemFree(b);
    cuStreamDestroy(stream);
  }

  @Test
  void aWriteBehindABufferFailsTheNextSynchronisationAndNamesTheKernel() {
    CUdeviceptr out = upload(new float[64]);
    CUfunction function = new CUfunction();
    cuModuleGetFunction(function, MODULE, "write_past_the_end");
    cuLaunchKernel(function, 3, 1, 1, 32, 1, 1, 0, null, Pointer.to(Pointer.to(out), Pointer.to(new int[] {64})), null);
    setExceptionsEnabled(false);
    int result = cuCtxSynchronize();
    setExceptionsEnabled(true);
    String said = EmulatedDevice.lastError();
    EmulatedDevice.clearError();
    cuMemFree(out);
    assertEquals(CUresult.CUDA_ERROR_ILLEGAL_ADDRESS, result);
    assertTrue(said.contains("kernel write_past_the_end") && said.contains("past the end of a 256-byte allocation"), said);
  }

  @Test
  void sgemmEqualsTheTripleLoop() {
    int m = 5;
    int n = 7;
    int k = 9;
    float[] a = random(m * k);   // column major, and stored transposed: k x m
    float[] b = random(k * n);
    float[] c = random(m * n);
    CUdeviceptr da = upload(a);
    CUdeviceptr db = upload(b);
    CUdeviceptr dc = upload(c);
    cublasHandle handle = new cublasHandle();
    JCublas2.cublasCreate(handle);
    JCublas2.cublasSetStream(handle, new cudaStream_t());
    JCublas2.cublasSgemm(handle, cublasOperation.CUBLAS_OP_T, cublasOperation.CUBLAS_OP_N, m, n, k, Pointer.to(new float[] {2}), da, k, db, k,
        Pointer.to(new float[] {0.5f}), dc, m);
    float[] got = download(dc, m * n);
    JCublas2.cublasDestroy(handle);
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        float sum = 0;
        for (int l = 0; l < k; l++) {
          sum += a[i * k + l] * b[j * k + l];
        }
        assertEquals(2 * sum + 0.5f * c[j * m + i], got[j * m + i]);
      }
    }
    cuMemFree(da);
    cuMemFree(db);
    cuMemFree(dc);
  }

  /** x N,H,W,C = 2,6,5,4; w O,R,S,C = 6,3,3,2 in two groups; stride 2,1, pad 1,0, dilation 1,2. */
  @Test
  void cudnnConvolutionsEqualTheNestedLoops() {
    int n = 2, h = 6, w = 5, c = 4, o = 6, taps = 3, cg = 2, p = 3, q = 1;
    float[] x = random(n * h * w * c);
    float[] f = random(o * taps * taps * cg);
    float[] dy = random(n * p * q * o);
    float[] y = new float[dy.length];
    float[] dx = new float[x.length];
    float[] df = new float[f.length];
    for (int in = 0; in < n; in++) for (int ip = 0; ip < p; ip++) for (int iq = 0; iq < q; iq++) for (int io = 0; io < o; io++)
      for (int r = 0; r < taps; r++) for (int s = 0; s < taps; s++) for (int ic = 0; ic < cg; ic++) {
        int ih = ip * 2 - 1 + r;
        int iw = iq + 2 * s;
        if (ih < 0 || ih >= h) {
          continue;
        }
        int xi = ((in * h + ih) * w + iw) * c + io / 3 * cg + ic;
        int wi = ((io * taps + r) * taps + s) * cg + ic;
        int yi = ((in * p + ip) * q + iq) * o + io;
        y[yi] += x[xi] * f[wi];
        dx[xi] += dy[yi] * f[wi];
        df[wi] += dy[yi] * x[xi];
      }
    cudnnHandle handle = new cudnnHandle();
    JCudnn.cudnnCreate(handle);
    cudnnTensorDescriptor xd = new cudnnTensorDescriptor();
    cudnnTensorDescriptor yd = new cudnnTensorDescriptor();
    cudnnFilterDescriptor fd = new cudnnFilterDescriptor();
    cudnnConvolutionDescriptor cd = new cudnnConvolutionDescriptor();
    JCudnn.cudnnCreateTensorDescriptor(xd);
    JCudnn.cudnnCreateTensorDescriptor(yd);
    JCudnn.cudnnCreateFilterDescriptor(fd);
    JCudnn.cudnnCreateConvolutionDescriptor(cd);
    int type = cudnnDataType.CUDNN_DATA_FLOAT;
    JCudnn.cudnnSetTensor4dDescriptor(xd, cudnnTensorFormat.CUDNN_TENSOR_NHWC, type, n, c, h, w);
    JCudnn.cudnnSetFilter4dDescriptor(fd, type, cudnnTensorFormat.CUDNN_TENSOR_NHWC, o, cg, taps, taps);
    JCudnn.cudnnSetConvolution2dDescriptor(cd, 1, 0, 2, 1, 1, 2, cudnnConvolutionMode.CUDNN_CROSS_CORRELATION, type);
    JCudnn.cudnnSetConvolutionGroupCount(cd, 2);
    int[] dims = new int[4];
    JCudnn.cudnnGetConvolution2dForwardOutputDim(cd, xd, fd, new int[1], dims, new int[1], new int[1]);
    assertEquals(o, dims[0]);
    JCudnn.cudnnSetTensor4dDescriptor(yd, cudnnTensorFormat.CUDNN_TENSOR_NHWC, type, n, o, p, q);

    int[] found = new int[1];
    cudnnConvolutionFwdAlgoPerf[] algorithms = {new cudnnConvolutionFwdAlgoPerf(), new cudnnConvolutionFwdAlgoPerf()};
    JCudnn.cudnnGetConvolutionForwardAlgorithm_v7(handle, xd, fd, cd, yd, 2, found, algorithms);
    assertEquals(2, found[0]);
    long[] bytes = new long[1];
    JCudnn.cudnnGetConvolutionForwardWorkspaceSize(handle, xd, fd, cd, yd, algorithms[0].algo, bytes);
    assertEquals(algorithms[0].memory, bytes[0]);
    CUdeviceptr space = new CUdeviceptr();
    cuMemAlloc(space, bytes[0]);
    CUdeviceptr px = upload(x);
    CUdeviceptr pf = upload(f);
    CUdeviceptr pdy = upload(dy);
    CUdeviceptr py = upload(new float[y.length]);
    CUdeviceptr pdx = upload(new float[x.length]);
    CUdeviceptr pdf = upload(new float[f.length]);
    Pointer one = Pointer.to(new float[] {1});
    Pointer zero = Pointer.to(new float[] {0});
    JCudnn.cudnnConvolutionForward(handle, one, xd, px, fd, pf, cd, algorithms[0].algo, space, bytes[0], zero, yd, py);
    JCudnn.cudnnConvolutionBackwardData(handle, one, fd, pf, yd, pdy, cd, 1, space, bytes[0], zero, xd, pdx);
    JCudnn.cudnnConvolutionBackwardFilter(handle, one, xd, px, yd, pdy, cd, 0, space, bytes[0], zero, fd, pdf);
    assertArrayEquals(y, download(py, y.length));
    assertArrayEquals(dx, download(pdx, dx.length));
    assertArrayEquals(df, download(pdf, df.length));
    for (CUdeviceptr pointer : List.of(space, px, pf, pdy, py, pdx, pdf)) {
      cuMemFree(pointer);
    }
    JCudnn.cudnnDestroy(handle);
  }
}
