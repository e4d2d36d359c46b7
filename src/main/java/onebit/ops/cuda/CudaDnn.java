package onebit.ops.cuda;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Supplier;
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

  /** What cuDNN says of an algorithm for a direction. */
  private record Found(int number, int status, int determinism, int mathType) {}

  /** What is computed: y from x and w, or one of their gradients. */
  private enum Direction {
    FORWARD("forward", "forward"),
    GRAD_X("gradient of x", "gradX"),
    GRAD_W("gradient of w", "gradW");

    private final String words;
    private final String called;

    Direction(String words, String called) {
      this.words = words;
      this.called = called;
    }
  }

  /** Descriptors of one geometry, and the algorithm of each direction once it was asked for. */
  private static final class Plan {
    final cudnnTensorDescriptor x = new cudnnTensorDescriptor();
    final cudnnTensorDescriptor y = new cudnnTensorDescriptor();
    final cudnnFilterDescriptor w = new cudnnFilterDescriptor();
    final cudnnConvolutionDescriptor convolution = new cudnnConvolutionDescriptor();
    final Map<Direction, Algorithm> chosen = new EnumMap<>(Direction.class);
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
    run(Direction.FORWARD, y, x, w, g, type);
  }

  void gradX(DeviceMemory gradX, DeviceMemory gradY, DeviceMemory w, ConvGeometry g, ElementType type) {
    run(Direction.GRAD_X, gradX, gradY, w, g, type);
  }

  void gradW(DeviceMemory gradW, DeviceMemory gradY, DeviceMemory x, ConvGeometry g, ElementType type) {
    run(Direction.GRAD_W, gradW, gradY, x, g, type);
  }

  /** to = what the direction makes of image, x or gradY, and of other: the filters, or x where theirs is the gradient. */
  private void run(Direction direction, DeviceMemory to, DeviceMemory image, DeviceMemory other, ConvGeometry g, ElementType type) {
    Plan plan = plan(g, type);
    Algorithm known = plan.chosen.get(direction);
    if (known == null) {
      known = choose(direction, g, type, usable(direction, plan, g), algorithm -> run(direction, plan, algorithm, to, image, other, g));
      plan.chosen.put(direction, known);
    }
    Algorithm algorithm = known;
    device.timed(() -> "cuDNN " + direction.called + " " + g.r() + "x" + g.s() + " " + g.words(), () -> run(direction, plan, algorithm, to, image, other, g));
  }

  private void run(Direction direction, Plan plan, Algorithm algorithm, DeviceMemory to, DeviceMemory image, DeviceMemory other, ConvGeometry g) {
    Pointer room = device.scratch(CudaDevice.Scratch.LIBRARY, algorithm.bytes).pointer();
    switch (direction) {
      case FORWARD -> check("cudnnConvolutionForward", JCudnn.cudnnConvolutionForward(handle, one, plan.x, image.pointer(), plan.w, other.pointer(),
          plan.convolution, algorithm.number, room, algorithm.bytes, zero, plan.y, to.pointer()), g);
      case GRAD_X -> check("cudnnConvolutionBackwardData", JCudnn.cudnnConvolutionBackwardData(handle, one, plan.w, other.pointer(), plan.y, image.pointer(),
          plan.convolution, algorithm.number, room, algorithm.bytes, zero, plan.x, to.pointer()), g);
      case GRAD_W -> check("cudnnConvolutionBackwardFilter", JCudnn.cudnnConvolutionBackwardFilter(handle, one, plan.x, other.pointer(), plan.y,
          image.pointer(), plan.convolution, algorithm.number, room, algorithm.bytes, zero, plan.w, to.pointer()), g);
    }
  }

  /** The algorithms that may be taken, in the order cuDNN recommends them. */
  private List<Algorithm> usable(Direction direction, Plan plan, ConvGeometry g) {
    List<Algorithm> usable = new ArrayList<>();
    long[] bytes = new long[1];
    for (Found found : found(direction, plan, g)) {
      boolean exact = !deterministic || found.determinism == cudnnDeterminism.CUDNN_DETERMINISTIC;
      if (found.status != 0 || !exact || found.mathType == cudnnMathType.CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION) continue;
      int refused = switch (direction) {
        case FORWARD -> JCudnn.cudnnGetConvolutionForwardWorkspaceSize(handle, plan.x, plan.w, plan.convolution, plan.y, found.number, bytes);
        case GRAD_X -> JCudnn.cudnnGetConvolutionBackwardDataWorkspaceSize(handle, plan.w, plan.y, plan.convolution, plan.x, found.number, bytes);
        case GRAD_W -> JCudnn.cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, plan.x, plan.y, plan.convolution, plan.w, found.number, bytes);
      };
      if (refused == 0) usable.add(new Algorithm(found.number, bytes[0]));
    }
    return usable;
  }

  private List<Found> found(Direction direction, Plan plan, ConvGeometry g) {
    int most = MOST_ALGORITHMS;
    int[] count = new int[1];
    List<Found> all = switch (direction) {
      case FORWARD -> {
        cudnnConvolutionFwdAlgoPerf[] each = filled(new cudnnConvolutionFwdAlgoPerf[most], cudnnConvolutionFwdAlgoPerf::new);
        check("cudnnGetConvolutionForwardAlgorithm",
            JCudnn.cudnnGetConvolutionForwardAlgorithm_v7(handle, plan.x, plan.w, plan.convolution, plan.y, most, count, each), g);
        yield Arrays.stream(each).map(a -> new Found(a.algo, a.status, a.determinism, a.mathType)).toList();
      }
      case GRAD_X -> {
        cudnnConvolutionBwdDataAlgoPerf[] each = filled(new cudnnConvolutionBwdDataAlgoPerf[most], cudnnConvolutionBwdDataAlgoPerf::new);
        check("cudnnGetConvolutionBackwardDataAlgorithm",
            JCudnn.cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, plan.w, plan.y, plan.convolution, plan.x, most, count, each), g);
        yield Arrays.stream(each).map(a -> new Found(a.algo, a.status, a.determinism, a.mathType)).toList();
      }
      case GRAD_W -> {
        cudnnConvolutionBwdFilterAlgoPerf[] each = filled(new cudnnConvolutionBwdFilterAlgoPerf[most], cudnnConvolutionBwdFilterAlgoPerf::new);
        check("cudnnGetConvolutionBackwardFilterAlgorithm",
            JCudnn.cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, plan.x, plan.y, plan.convolution, plan.w, most, count, each), g);
        yield Arrays.stream(each).map(a -> new Found(a.algo, a.status, a.determinism, a.mathType)).toList();
      }
    };
    return all.subList(0, count[0]);
  }

  private static <T> T[] filled(T[] all, Supplier<T> each) {
    Arrays.setAll(all, i -> each.get());
    return all;
  }

  /** The first algorithm that cuDNN names, or the one that was fastest here. */
  private Algorithm choose(Direction direction, ConvGeometry g, ElementType type, List<Algorithm> usable, Consumer<Algorithm> run) {
    if (usable.isEmpty()) throw new CudaException("cuDNN: no " + (deterministic ? "deterministic " : "") + type + " algorithm for the " + direction.words + " of " + g, 0);
    if (tuning == null) return usable.getFirst();
    List<Algorithm> tried = usable.stream().filter(a -> a.bytes <= Math.max(MOST_WORKSPACE_BYTES, usable.getFirst().bytes)).toList();
    return tried.get(tuning.choose("conv2d " + direction.words + " " + g + " in " + type, tried.stream().map(Algorithm::toString).toList(),
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
