package onebit.ops.cuda;

import java.util.HashMap;
import java.util.Map;
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
 * and type; deterministic algorithms, or the first that cuDNN's heuristics name.
 */
final class CudaDnn implements AutoCloseable {
  private static final int MOST_ALGORITHMS = 16;

  /** Descriptors of one geometry, and the algorithm of each direction once it was asked for; -1 before. */
  private static final class Plan {
    final cudnnTensorDescriptor x = new cudnnTensorDescriptor();
    final cudnnTensorDescriptor y = new cudnnTensorDescriptor();
    final cudnnFilterDescriptor w = new cudnnFilterDescriptor();
    final cudnnConvolutionDescriptor convolution = new cudnnConvolutionDescriptor();
    int forward = -1;
    int gradX = -1;
    int gradW = -1;
    final long[] forwardBytes = new long[1];
    final long[] gradXBytes = new long[1];
    final long[] gradWBytes = new long[1];
  }

  private final CudaDevice device;
  private final boolean deterministic;
  private final cudnnHandle handle = new cudnnHandle();
  private final Map<ConvGeometry, Plan> plans = new HashMap<>();
  private final Map<ConvGeometry, Plan> roundedPlans = new HashMap<>();
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
    if (plan.forward < 0) {
      cudnnConvolutionFwdAlgoPerf[] found = new cudnnConvolutionFwdAlgoPerf[MOST_ALGORITHMS];
      for (int i = 0; i < found.length; i++) found[i] = new cudnnConvolutionFwdAlgoPerf();
      int[] count = new int[1];
      check("cudnnGetConvolutionForwardAlgorithm", JCudnn.cudnnGetConvolutionForwardAlgorithm_v7(handle, plan.x, plan.w, plan.convolution, plan.y,
          MOST_ALGORITHMS, count, found), g);
      for (int i = 0; i < count[0] && plan.forward < 0; i++) {
        if (usable(found[i].status, found[i].determinism, found[i].mathType) && JCudnn.cudnnGetConvolutionForwardWorkspaceSize(handle, plan.x, plan.w,
            plan.convolution, plan.y, found[i].algo, plan.forwardBytes) == 0) plan.forward = found[i].algo;
      }
      requireFound(plan.forward, "forward", g, type);
    }
    DeviceMemory room = room(plan.forwardBytes);
    check("cudnnConvolutionForward", JCudnn.cudnnConvolutionForward(handle, one, plan.x, x.pointer(), plan.w, w.pointer(), plan.convolution,
        plan.forward, room.pointer(), plan.forwardBytes[0], zero, plan.y, y.pointer()), g);
  }

  void gradX(DeviceMemory gradX, DeviceMemory gradY, DeviceMemory w, ConvGeometry g, ElementType type) {
    Plan plan = plan(g, type);
    if (plan.gradX < 0) {
      cudnnConvolutionBwdDataAlgoPerf[] found = new cudnnConvolutionBwdDataAlgoPerf[MOST_ALGORITHMS];
      for (int i = 0; i < found.length; i++) found[i] = new cudnnConvolutionBwdDataAlgoPerf();
      int[] count = new int[1];
      check("cudnnGetConvolutionBackwardDataAlgorithm", JCudnn.cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, plan.w, plan.y, plan.convolution,
          plan.x, MOST_ALGORITHMS, count, found), g);
      for (int i = 0; i < count[0] && plan.gradX < 0; i++) {
        if (usable(found[i].status, found[i].determinism, found[i].mathType) && JCudnn.cudnnGetConvolutionBackwardDataWorkspaceSize(handle, plan.w,
            plan.y, plan.convolution, plan.x, found[i].algo, plan.gradXBytes) == 0) plan.gradX = found[i].algo;
      }
      requireFound(plan.gradX, "gradient of x", g, type);
    }
    DeviceMemory room = room(plan.gradXBytes);
    check("cudnnConvolutionBackwardData", JCudnn.cudnnConvolutionBackwardData(handle, one, plan.w, w.pointer(), plan.y, gradY.pointer(),
        plan.convolution, plan.gradX, room.pointer(), plan.gradXBytes[0], zero, plan.x, gradX.pointer()), g);
  }

  void gradW(DeviceMemory gradW, DeviceMemory gradY, DeviceMemory x, ConvGeometry g, ElementType type) {
    Plan plan = plan(g, type);
    if (plan.gradW < 0) {
      cudnnConvolutionBwdFilterAlgoPerf[] found = new cudnnConvolutionBwdFilterAlgoPerf[MOST_ALGORITHMS];
      for (int i = 0; i < found.length; i++) found[i] = new cudnnConvolutionBwdFilterAlgoPerf();
      int[] count = new int[1];
      check("cudnnGetConvolutionBackwardFilterAlgorithm", JCudnn.cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, plan.x, plan.y, plan.convolution,
          plan.w, MOST_ALGORITHMS, count, found), g);
      for (int i = 0; i < count[0] && plan.gradW < 0; i++) {
        if (usable(found[i].status, found[i].determinism, found[i].mathType) && JCudnn.cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, plan.x,
            plan.y, plan.convolution, plan.w, found[i].algo, plan.gradWBytes) == 0) plan.gradW = found[i].algo;
      }
      requireFound(plan.gradW, "gradient of w", g, type);
    }
    DeviceMemory room = room(plan.gradWBytes);
    check("cudnnConvolutionBackwardFilter", JCudnn.cudnnConvolutionBackwardFilter(handle, one, plan.x, x.pointer(), plan.y, gradY.pointer(),
        plan.convolution, plan.gradW, room.pointer(), plan.gradWBytes[0], zero, plan.w, gradW.pointer()), g);
  }

  private boolean usable(int status, int determinism, int mathType) {
    return status == 0 && (!deterministic || determinism == cudnnDeterminism.CUDNN_DETERMINISTIC) && mathType != cudnnMathType.CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
  }

  private void requireFound(int algorithm, String direction, ConvGeometry g, ElementType type) {
    if (algorithm < 0) throw new CudaException("cuDNN: no " + (deterministic ? "deterministic " : "") + type + " algorithm for the " + direction + " of " + g, 0);
  }

  private DeviceMemory room(long[] bytes) {
    return device.scratch(CudaDevice.Scratch.LIBRARY, bytes[0]);
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
