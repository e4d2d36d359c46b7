package onebit.ops.cuda;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.ToDoubleFunction;
import jcuda.Pointer;
import jcuda.jcudnn.JCudnn;
import jcuda.jcudnn.cudnnConvolutionBwdDataAlgoPerf;
import jcuda.jcudnn.cudnnConvolutionBwdFilterAlgoPerf;
import jcuda.jcudnn.cudnnConvolutionDescriptor;
import jcuda.jcudnn.cudnnConvolutionFwdAlgoPerf;
import jcuda.jcudnn.cudnnConvolutionMode;
import jcuda.jcudnn.cudnnDataType;
import jcuda.jcudnn.cudnnDeterminism;
import jcuda.jcudnn.cudnnFilterDescriptor;
import jcuda.jcudnn.cudnnHandle;
import jcuda.jcudnn.cudnnMathType;
import jcuda.jcudnn.cudnnStatus;
import jcuda.jcudnn.cudnnTensorDescriptor;
import jcuda.jcudnn.cudnnTensorFormat;
import jcuda.runtime.cudaStream_t;
import onebit.ops.ConvGeometry;
import onebit.tensor.ElementType;

/**
 * cuDNN's convolutions on the device's stream: channels last, float32 without TF32 or bfloat16 with sums in float32, planned once per geometry
 * and type; deterministic algorithms, or the first that cuDNN's heuristics name, or by {@link Tuning} the fastest of them.
 */
final class CudaDnn implements AutoCloseable {
  private static final int MOST_ALGORITHMS = 16;
  /** An algorithm that wants more than this, and more than the first, is not tried. */
  private static final long MOST_WORKSPACE_BYTES = 256L << 20;

  /** What cuDNN calls an algorithm, and the workspace it asks for. */
  private record Algorithm(int number, long bytes) {
    @Override
    public String toString() {
      return "cuDNN algorithm " + number;
    }
  }

  /** Descriptors of one geometry, and the algorithm of each direction once it was asked for; null before. */
  private static final class Plan {
    final cudnnTensorDescriptor x = new cudnnTensorDescriptor();
    final cudnnTensorDescriptor y = new cudnnTensorDescriptor();
    final cudnnFilterDescriptor w = new cudnnFilterDescriptor();
    final cudnnConvolutionDescriptor convolution = new cudnnConvolutionDescriptor();
    Algorithm forward;
    Algorithm gradX;
    Algorithm gradW;
  }

  private final CudaDevice device;
  private final boolean deterministic;
  private final cudnnHandle handle = new cudnnHandle();
  private final Map<ConvGeometry, Plan> plans = new HashMap<>();
  private final Map<ConvGeometry, Plan> roundedPlans = new HashMap<>();
  private Tuning tuning;
  private ToDoubleFunction<Runnable> clock;
  private final Pointer one = Pointer.to(new float[] {1});
  private final Pointer zero = Pointer.to(new float[] {0});

  /** @throws CudaException if there is no cuDNN */
  CudaDnn(CudaDevice device, boolean deterministic) {
    this.device = device;
    this.deterministic = deterministic;
    if (!device.libraries().cudnn()) {
      throw new CudaException("cuDNN: real-valued convolutions on the GPU, and the backward of binary ones, need libcudnn.so.8 or .9, which was not "
          + "found; set ONEBIT_CUDA_LIBS to its folder, `onebit doctor` lists the folders searched, or let the own slow kernels do it with "
          + "--set train.realProducts=own", 0);
    }
    device.enter();
    check("cudnnCreate", JCudnn.cudnnCreate(handle), "");
    check("cudnnSetStream", JCudnn.cudnnSetStream(handle, new cudaStream_t(device.stream())), "");
  }

  private static void check(String call, int status, Object given) {
    if (status != 0) {
      throw new CudaException(call + ": " + cudnnStatus.stringFor(status) + " (code " + status + ") for " + given + "; `onebit doctor` shows the libraries in use",
          status);
    }
  }

  void forward(DeviceMemory y, DeviceMemory x, DeviceMemory w, ConvGeometry g, ElementType type) {
    Plan plan = plan(g, type);
    if (plan.forward == null) {
      cudnnConvolutionFwdAlgoPerf[] found = new cudnnConvolutionFwdAlgoPerf[MOST_ALGORITHMS];
      for (int i = 0; i < found.length; i++) found[i] = new cudnnConvolutionFwdAlgoPerf();
      int[] count = new int[1];
      check("cudnnGetConvolutionForwardAlgorithm", JCudnn.cudnnGetConvolutionForwardAlgorithm_v7(handle, plan.x, plan.w, plan.convolution, plan.y,
          MOST_ALGORITHMS, count, found), g);
      List<Algorithm> usable = new ArrayList<>();
      long[] bytes = new long[1];
      for (int i = 0; i < count[0]; i++) {
        if (usable(found[i].status, found[i].determinism, found[i].mathType) && JCudnn.cudnnGetConvolutionForwardWorkspaceSize(handle, plan.x, plan.w, plan.convolution, plan.y,
            found[i].algo, bytes) == 0) usable.add(new Algorithm(found[i].algo, bytes[0]));
      }
      plan.forward = choose("forward", g, type, usable, algorithm -> forward(plan, algorithm, y, x, w, g));
    }
    device.timed(() -> called("forward", g), () -> forward(plan, plan.forward, y, x, w, g));
  }

  private void forward(Plan plan, Algorithm algorithm, DeviceMemory y, DeviceMemory x, DeviceMemory w, ConvGeometry g) {
    DeviceMemory room = room(algorithm);
    check("cudnnConvolutionForward", JCudnn.cudnnConvolutionForward(handle, one, plan.x, x.pointer(), plan.w, w.pointer(), plan.convolution,
        algorithm.number, room.pointer(), algorithm.bytes, zero, plan.y, y.pointer()), g);
  }

  void gradX(DeviceMemory gradX, DeviceMemory gradY, DeviceMemory w, ConvGeometry g, ElementType type) {
    Plan plan = plan(g, type);
    if (plan.gradX == null) {
      cudnnConvolutionBwdDataAlgoPerf[] found = new cudnnConvolutionBwdDataAlgoPerf[MOST_ALGORITHMS];
      for (int i = 0; i < found.length; i++) found[i] = new cudnnConvolutionBwdDataAlgoPerf();
      int[] count = new int[1];
      check("cudnnGetConvolutionBackwardDataAlgorithm", JCudnn.cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, plan.w, plan.y, plan.convolution, plan.x,
          MOST_ALGORITHMS, count, found), g);
      List<Algorithm> usable = new ArrayList<>();
      long[] bytes = new long[1];
      for (int i = 0; i < count[0]; i++) {
        if (usable(found[i].status, found[i].determinism, found[i].mathType) && JCudnn.cudnnGetConvolutionBackwardDataWorkspaceSize(handle, plan.w, plan.y, plan.convolution, plan.x,
            found[i].algo, bytes) == 0) usable.add(new Algorithm(found[i].algo, bytes[0]));
      }
      plan.gradX = choose("gradient of x", g, type, usable, algorithm -> gradX(plan, algorithm, gradX, gradY, w, g));
    }
    device.timed(() -> called("gradX", g), () -> gradX(plan, plan.gradX, gradX, gradY, w, g));
  }

  private void gradX(Plan plan, Algorithm algorithm, DeviceMemory gradX, DeviceMemory gradY, DeviceMemory w, ConvGeometry g) {
    DeviceMemory room = room(algorithm);
    check("cudnnConvolutionBackwardData", JCudnn.cudnnConvolutionBackwardData(handle, one, plan.w, w.pointer(), plan.y, gradY.pointer(),
        plan.convolution, algorithm.number, room.pointer(), algorithm.bytes, zero, plan.x, gradX.pointer()), g);
  }

  void gradW(DeviceMemory gradW, DeviceMemory gradY, DeviceMemory x, ConvGeometry g, ElementType type) {
    Plan plan = plan(g, type);
    if (plan.gradW == null) {
      cudnnConvolutionBwdFilterAlgoPerf[] found = new cudnnConvolutionBwdFilterAlgoPerf[MOST_ALGORITHMS];
      for (int i = 0; i < found.length; i++) found[i] = new cudnnConvolutionBwdFilterAlgoPerf();
      int[] count = new int[1];
      check("cudnnGetConvolutionBackwardFilterAlgorithm", JCudnn.cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, plan.x, plan.y, plan.convolution, plan.w,
          MOST_ALGORITHMS, count, found), g);
      List<Algorithm> usable = new ArrayList<>();
      long[] bytes = new long[1];
      for (int i = 0; i < count[0]; i++) {
        if (usable(found[i].status, found[i].determinism, found[i].mathType) && JCudnn.cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, plan.x, plan.y, plan.convolution, plan.w,
            found[i].algo, bytes) == 0) usable.add(new Algorithm(found[i].algo, bytes[0]));
      }
      plan.gradW = choose("gradient of w", g, type, usable, algorithm -> gradW(plan, algorithm, gradW, gradY, x, g));
    }
    device.timed(() -> called("gradW", g), () -> gradW(plan, plan.gradW, gradW, gradY, x, g));
  }

  private void gradW(Plan plan, Algorithm algorithm, DeviceMemory gradW, DeviceMemory gradY, DeviceMemory x, ConvGeometry g) {
    DeviceMemory room = room(algorithm);
    check("cudnnConvolutionBackwardFilter", JCudnn.cudnnConvolutionBackwardFilter(handle, one, plan.x, x.pointer(), plan.y, gradY.pointer(),
        plan.convolution, algorithm.number, room.pointer(), algorithm.bytes, zero, plan.w, gradW.pointer()), g);
  }

  private static String called(String direction, ConvGeometry g) {
    return "cuDNN " + direction + " " + g.r() + "x" + g.s() + " " + g.words();
  }

  private boolean usable(int status, int determinism, int mathType) {
    return status == 0 && (!deterministic || determinism == cudnnDeterminism.CUDNN_DETERMINISTIC) && mathType != cudnnMathType.CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
  }

  /** The first algorithm that cuDNN names, or the one that was fastest here. */
  private Algorithm choose(String direction, ConvGeometry g, ElementType type, List<Algorithm> usable, Consumer<Algorithm> run) {
    if (usable.isEmpty()) throw new CudaException("cuDNN: no " + (deterministic ? "deterministic " : "") + type + " algorithm for the " + direction + " of " + g, 0);
    if (tuning == null) return usable.getFirst();
    List<Algorithm> tried = usable.stream().filter(a -> a.bytes <= Math.max(MOST_WORKSPACE_BYTES, usable.getFirst().bytes)).toList();
    return tried.get(tuning.choose("conv2d " + direction + " " + g + " in " + type, tried.stream().map(Algorithm::toString).toList(),
        i -> millis(() -> run.accept(tried.get(i)))));
  }

  /** How long an algorithm took; for ever if it refused. */
  private double millis(Runnable run) {
    try {
      return clock.applyAsDouble(run);
    } catch (CudaException refused) {
      return Double.POSITIVE_INFINITY;
    }
  }

  /** From now on each direction of a new geometry takes the algorithm that was fastest by that clock. */
  void use(Tuning tuning, ToDoubleFunction<Runnable> clock) {
    this.tuning = tuning;
    this.clock = clock;
  }

  private DeviceMemory room(Algorithm algorithm) {
    return device.scratch(CudaDevice.Scratch.LIBRARY, algorithm.bytes);
  }

  private Plan plan(ConvGeometry g, ElementType type) {
    device.enter();
    boolean rounded = type == ElementType.BFLOAT16;
    Plan known = (rounded ? roundedPlans : plans).get(g);
    if (known != null) return known;
    Plan plan = new Plan();
    int last = cudnnTensorFormat.CUDNN_TENSOR_NHWC, real = rounded ? cudnnDataType.CUDNN_DATA_BFLOAT16 : cudnnDataType.CUDNN_DATA_FLOAT;
    check("cudnnCreateTensorDescriptor", JCudnn.cudnnCreateTensorDescriptor(plan.x), g);
    check("cudnnCreateTensorDescriptor", JCudnn.cudnnCreateTensorDescriptor(plan.y), g);
    check("cudnnCreateFilterDescriptor", JCudnn.cudnnCreateFilterDescriptor(plan.w), g);
    check("cudnnCreateConvolutionDescriptor", JCudnn.cudnnCreateConvolutionDescriptor(plan.convolution), g);
    check("cudnnSetTensor4dDescriptor", JCudnn.cudnnSetTensor4dDescriptor(plan.x, last, real, g.n(), g.c(), g.h(), g.w()), g);
    check("cudnnSetTensor4dDescriptor", JCudnn.cudnnSetTensor4dDescriptor(plan.y, last, real, g.n(), g.o(), g.p(), g.q()), g);
    check("cudnnSetFilter4dDescriptor", JCudnn.cudnnSetFilter4dDescriptor(plan.w, real, last, g.o(), g.c() / g.groups(), g.r(), g.s()), g);
    check("cudnnSetConvolution2dDescriptor", JCudnn.cudnnSetConvolution2dDescriptor(plan.convolution, g.pad(), g.pad(), g.stride(), g.stride(),
        g.dilation(), g.dilation(), cudnnConvolutionMode.CUDNN_CROSS_CORRELATION, cudnnDataType.CUDNN_DATA_FLOAT), g);
    check("cudnnSetConvolutionGroupCount", JCudnn.cudnnSetConvolutionGroupCount(plan.convolution, g.groups()), g);
    check("cudnnSetConvolutionMathType", JCudnn.cudnnSetConvolutionMathType(plan.convolution,
        rounded ? cudnnMathType.CUDNN_TENSOR_OP_MATH : cudnnMathType.CUDNN_FMA_MATH), g);
    (rounded ? roundedPlans : plans).put(g, plan);
    return plan;
  }

  @Override
  public void close() {
    plans.values().forEach(CudaDnn::destroy);
    roundedPlans.values().forEach(CudaDnn::destroy);
    JCudnn.cudnnDestroy(handle);
  }

  private static void destroy(Plan plan) {
    JCudnn.cudnnDestroyTensorDescriptor(plan.x);
    JCudnn.cudnnDestroyTensorDescriptor(plan.y);
    JCudnn.cudnnDestroyFilterDescriptor(plan.w);
    JCudnn.cudnnDestroyConvolutionDescriptor(plan.convolution);
  }
}
