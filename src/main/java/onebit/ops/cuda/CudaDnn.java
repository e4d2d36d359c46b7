package onebit.ops.cuda;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
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
 * and type; deterministic algorithms, or the first that cuDNN's heuristics name, or by {@link Tuning} the fastest of them. What it refuses, one direction of
 * one geometry, {@link DirectProducts} do, and one sentence says so.
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
    FORWARD("forward", "forward", "cudnnConvolutionForward"),
    GRAD_X("gradient of x", "gradX", "cudnnConvolutionBackwardData"),
    GRAD_W("gradient of w", "gradW", "cudnnConvolutionBackwardFilter");

    private final String words;
    private final String called;
    private final String call;

    Direction(String words, String called, String call) {
      this.words = words;
      this.called = called;
      this.call = call;
    }
  }

  /** Algorithms of one direction of one geometry: the first is taken, one that refuses is left out; where none is left, the own kernel does it. */
  private static final class Ways {
    final List<Algorithm> algorithms = new ArrayList<>();
    /** Whether cuDNN has algorithms that are not deterministic, where they were to be. */
    boolean otherwise;
    boolean told;
  }

  /** Descriptors of one geometry, and the ways of each direction once it was asked for. */
  private static final class Plan {
    final cudnnTensorDescriptor x = new cudnnTensorDescriptor();
    final cudnnTensorDescriptor y = new cudnnTensorDescriptor();
    final cudnnFilterDescriptor w = new cudnnFilterDescriptor();
    final cudnnConvolutionDescriptor convolution = new cudnnConvolutionDescriptor();
    final Map<Direction, Ways> ways = new EnumMap<>(Direction.class);
  }

  private final CudaDevice device;
  private final boolean deterministic;
  private final DirectProducts own;
  private final Consumer<String> tell;
  private final cudnnHandle handle = new cudnnHandle();
  private final Map<ConvGeometry, Plan> plans = new HashMap<>();
  private final Map<ConvGeometry, Plan> roundedPlans = new HashMap<>();
  private Tuning tuning;
  private ToDoubleFunction<Runnable> clock;
  private final Pointer one = Pointer.to(new float[] {1});
  private final Pointer zero = Pointer.to(new float[] {0});

  /** @throws CudaException if there is no cuDNN */
  CudaDnn(CudaDevice device, boolean deterministic, Consumer<String> tell) {
    this.device = device;
    this.deterministic = deterministic;
    this.tell = tell;
    own = new DirectProducts(device);
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
    Ways ways = plan.ways.get(direction);
    if (ways == null) {
      ways = ways(direction, plan, g, type, algorithm -> check(direction.call, execute(direction, plan, algorithm, to, image, other), g));
      plan.ways.put(direction, ways);
    }
    while (!ways.algorithms.isEmpty()) {
      Algorithm algorithm = ways.algorithms.getFirst();
      int[] status = new int[1];
      device.timed(() -> "cuDNN " + direction.called + " " + g.r() + "x" + g.s() + " " + g.words(),
          () -> status[0] = execute(direction, plan, algorithm, to, image, other));
      if (!refuses(status[0])) {
        check(direction.call, status[0], g);
        return;
      }
      ways.algorithms.removeFirst();
    }
    if (!ways.told) tell.accept(refusal(direction, g, type, ways.otherwise));
    ways.told = true;
    switch (direction) {
      case FORWARD -> own.forward(to, image, other, g, type);
      case GRAD_X -> own.gradX(to, image, other, g, type);
      case GRAD_W -> ownGradW(to, image, other, g, type);
    }
  }

  /** The own kernel gives float32 sums, cuDNN the type of x; the room of cuDNN's workspaces is free here. */
  private void ownGradW(DeviceMemory gradW, DeviceMemory gradY, DeviceMemory x, ConvGeometry g, ElementType type) {
    int n = g.filters().size();
    DeviceMemory sums = type == ElementType.FLOAT32 ? gradW : device.scratch(CudaDevice.Scratch.LIBRARY, 4L * n);
    own.gradW(sums, gradY, x, g, type);
    if (type != ElementType.FLOAT32) device.kernel("to_bfloat16").memory(gradW).memory(sums).integer(n).each(n);
  }

  private String refusal(Direction direction, ConvGeometry g, ElementType type, boolean otherwise) {
    String convolution = g.r() + "x" + g.s() + ", " + g.words() + (g.dilation() == 1 ? "" : " dilation " + g.dilation()) + ", batch " + g.n();
    String remedy = otherwise ? "it names others, which --set train.deterministic=false may take"
        : "a newer cuDNN may have one" + (type == ElementType.BFLOAT16 ? ", or one for --precision fp32" : "");
    return "cuDNN " + JCudnn.cudnnGetVersion() + " has no " + (otherwise ? "deterministic " : "") + "algorithm for the " + direction.words + " of a convolution of "
        + convolution + ", in " + type.name().toLowerCase(Locale.ROOT) + ", so the own plain kernel does it, slowly; " + remedy;
  }

  /** The status of cuDNN's call. */
  private int execute(Direction direction, Plan plan, Algorithm algorithm, DeviceMemory to, DeviceMemory image, DeviceMemory other) {
    Pointer room = device.scratch(CudaDevice.Scratch.LIBRARY, algorithm.bytes).pointer();
    return switch (direction) {
      case FORWARD -> JCudnn.cudnnConvolutionForward(handle, one, plan.x, image.pointer(), plan.w, other.pointer(), plan.convolution, algorithm.number, room,
          algorithm.bytes, zero, plan.y, to.pointer());
      case GRAD_X -> JCudnn.cudnnConvolutionBackwardData(handle, one, plan.w, other.pointer(), plan.y, image.pointer(), plan.convolution, algorithm.number, room,
          algorithm.bytes, zero, plan.x, to.pointer());
      case GRAD_W -> JCudnn.cudnnConvolutionBackwardFilter(handle, one, plan.x, other.pointer(), plan.y, image.pointer(), plan.convolution, algorithm.number, room,
          algorithm.bytes, zero, plan.w, to.pointer());
    };
  }

  /** Whether the status says that cuDNN cannot do this at all: 9 in version 8; in version 9 from 3000 on, but for those of trouble with driver or libraries. */
  private static boolean refuses(int status) {
    return status == 9 || status >= 3000 && status < 3100 && (status < 3005 || status > 3009);
  }

  /** Whether the status tells of something else than that an algorithm is not for these tensors, which is 3 in version 8, and in version 9 from 2000 on. */
  private static boolean isTrouble(int status) {
    return status != 0 && status != 3 && !(status >= 2000 && status < 3000) && !refuses(status);
  }

  /** The algorithms that may be taken, in the order cuDNN recommends them, or first the one that was fastest here. */
  private Ways ways(Direction direction, Plan plan, ConvGeometry g, ElementType type, Consumer<Algorithm> run) {
    Ways ways = new Ways();
    long[] bytes = new long[1];
    int trouble = 0;
    for (Found found : found(direction, plan, g)) {
      if (isTrouble(found.status)) trouble = found.status;
      if (found.status != 0 || found.mathType == cudnnMathType.CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION) continue;
      int refused = switch (direction) {
        case FORWARD -> JCudnn.cudnnGetConvolutionForwardWorkspaceSize(handle, plan.x, plan.w, plan.convolution, plan.y, found.number, bytes);
        case GRAD_X -> JCudnn.cudnnGetConvolutionBackwardDataWorkspaceSize(handle, plan.w, plan.y, plan.convolution, plan.x, found.number, bytes);
        case GRAD_W -> JCudnn.cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, plan.x, plan.y, plan.convolution, plan.w, found.number, bytes);
      };
      if (isTrouble(refused)) trouble = refused;
      if (refused != 0) continue;
      if (deterministic && found.determinism != cudnnDeterminism.CUDNN_DETERMINISTIC) ways.otherwise = true;
      else ways.algorithms.add(new Algorithm(found.number, bytes[0]));
    }
    if (ways.algorithms.isEmpty() && !ways.otherwise) check("workspaces of " + direction.call, trouble, g);
    if (tuning == null || ways.algorithms.isEmpty()) return ways;
    long most = Math.max(MOST_WORKSPACE_BYTES, ways.algorithms.getFirst().bytes);
    List<Algorithm> tried = ways.algorithms.stream().filter(a -> a.bytes <= most).toList();
    Algorithm fastest = tried.get(tuning.choose("conv2d " + direction.words + " " + g + " in " + type, tried.stream().map(Algorithm::toString).toList(),
        i -> millis(() -> run.accept(tried.get(i)))));
    ways.algorithms.remove(fastest);
    ways.algorithms.addFirst(fastest);
    return ways;
  }

  private List<Found> found(Direction direction, Plan plan, ConvGeometry g) {
    int most = MOST_ALGORITHMS;
    int[] count = new int[1];
    int status;
    List<Found> all = switch (direction) {
      case FORWARD -> {
        cudnnConvolutionFwdAlgoPerf[] each = filled(new cudnnConvolutionFwdAlgoPerf[most], cudnnConvolutionFwdAlgoPerf::new);
        status = JCudnn.cudnnGetConvolutionForwardAlgorithm_v7(handle, plan.x, plan.w, plan.convolution, plan.y, most, count, each);
        yield Arrays.stream(each).map(a -> new Found(a.algo, a.status, a.determinism, a.mathType)).toList();
      }
      case GRAD_X -> {
        cudnnConvolutionBwdDataAlgoPerf[] each = filled(new cudnnConvolutionBwdDataAlgoPerf[most], cudnnConvolutionBwdDataAlgoPerf::new);
        status = JCudnn.cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, plan.w, plan.y, plan.convolution, plan.x, most, count, each);
        yield Arrays.stream(each).map(a -> new Found(a.algo, a.status, a.determinism, a.mathType)).toList();
      }
      case GRAD_W -> {
        cudnnConvolutionBwdFilterAlgoPerf[] each = filled(new cudnnConvolutionBwdFilterAlgoPerf[most], cudnnConvolutionBwdFilterAlgoPerf::new);
        status = JCudnn.cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, plan.x, plan.y, plan.convolution, plan.w, most, count, each);
        yield Arrays.stream(each).map(a -> new Found(a.algo, a.status, a.determinism, a.mathType)).toList();
      }
    };
    if (refuses(status)) return List.of();
    check("algorithms of " + direction.call, status, g);
    return all.subList(0, count[0]);
  }

  private static <T> T[] filled(T[] all, Supplier<T> each) {
    Arrays.setAll(all, i -> each.get());
    return all;
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
