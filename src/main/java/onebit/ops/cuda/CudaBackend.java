package onebit.ops.cuda;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.ToDoubleFunction;
import jcuda.driver.JCudaDriver;
import jcuda.jcudnn.JCudnn;
import onebit.ops.Backend;
import onebit.ops.DeviceStreams;
import onebit.ops.Inlet;
import onebit.ops.Ops;
import onebit.ops.Readback;
import onebit.ops.Recorder;
import onebit.ops.Shapes;
import onebit.tensor.Arena;
import onebit.tensor.Bfloat16;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** One CUDA device: activations bfloat16 or float32 in its memory, other values float32, bits in 32-bit words, every op a launch on one stream. */
public final class CudaBackend implements Backend, DeviceStreams {
  private static final int FIRST_BFLOAT16 = 80;

  private final String name;
  private final CudaDevice device;
  private final BitProduct product;
  private final ElementType activations;
  private final boolean deterministic;
  private final CudaConvOps conv;
  private final CudaBitOps bits;
  private final Ops ops;
  private final List<CudaRecorder> recorders = new ArrayList<>();
  private List<Arena.Room> planned;
  private DeviceMemory arena;
  private int nextRoom;

  private CudaBackend(String name, CudaDevice device, BitProduct product, CudaMode mode) {
    this.name = name;
    this.device = device;
    this.product = product;
    activations = mode.activations() != null ? mode.activations() : hasBfloat16(device) ? ElementType.BFLOAT16 : ElementType.FLOAT32;
    deterministic = mode.deterministic();
    ChannelSums sums = new ChannelSums(device);
    PixelScales scales = new PixelScales(device);
    conv = new CudaConvOps(device, deterministic, scales);
    bits = new CudaBitOps(device, product, conv);
    ops = new Ops(bits, conv, new CudaNormOps(device, sums), new CudaPointOps(device, sums, scales), new CudaPoolOps(device), new CudaBinarizeOps(this, device, bits.layouts()),
        new CudaWeightOps(device, bits.layouts()), new CudaLossOps(device), new CudaOptimOps(device), new CudaFusedOps(device, bits, conv, sums), new CudaDenseOps(device, bits, sums));
  }

  private static boolean hasBfloat16(CudaDevice device) {
    return device.capability() >= FIRST_BFLOAT16;
  }

  /**
   * The GPU of that index.
   *
   * @throws IOException if there is no driver, no such device or no kernels in this build
   * @throws IllegalArgumentException if bfloat16 is asked of a device without it
   */
  public static CudaBackend open(int index, CudaMode mode) throws IOException {
    CudaDevice device = CudaDevice.real(index);
    if (mode.activations() == ElementType.BFLOAT16 && !hasBfloat16(device)) {
      String found = "cuda: " + device.model() + " has compute capability " + device.capability() / 10 + "." + device.capability() % 10;
      device.close();
      throw new IllegalArgumentException(found + "; bfloat16 needs 8.0, give --precision fp32");
    }
    return new CudaBackend(index == 0 ? "cuda" : "cuda:" + index, device, BitProduct.of(device.capability()), mode);
  }

  /** The emulated device with float32 activations and the bit products of sm_80 to sm_90. */
  public static CudaBackend emulated() throws IOException {
    return emulated(BitProduct.AND, CudaMode.FLOAT32);
  }

  /**
   * The emulated device of the source tree, with the kernels of one kind of bit product.
   *
   * @throws IOException if it cannot be built here
   */
  public static CudaBackend emulated(BitProduct product, CudaMode mode) throws IOException {
    String name = "cuda-emulated" + (product == BitProduct.AND ? "" : "-" + product.name().toLowerCase(Locale.ROOT));
    return new CudaBackend(name, CudaDevice.emulated(), product, mode);
  }

  /** From now on the own kernels do the real-valued convolutions and products, slowly, and neither cuDNN nor cuBLAS is needed. */
  public CudaBackend useOwnProducts() {
    conv.useOwnProducts();
    return this;
  }

  /** From now on sentences for the user, such as that cuDNN refuses a convolution, go there; before, to the log of the Java platform. */
  public void tellTo(Consumer<String> tell) {
    conv.tellTo(tell);
  }

  /**
   * From now on bit products, gradients of their filters and convolutions of cuDNN take the way that was fastest on this device; null: the usual way again, but
   * cuDNN keeps the algorithms that were chosen.
   *
   * @throws IllegalArgumentException on the emulated device, which is never timed, and where equal bits on every run were asked for
   */
  public void useTuning(Tuning tuning) {
    if (deterministic) throw new IllegalArgumentException("tuning: what is fastest may differ from run to run; a deterministic device does not ask");
    tune(tuning, tuning == null ? null : clock()::millis);
  }

  /** The same by another clock. */
  void tune(Tuning tuning, ToDoubleFunction<Runnable> clock) {
    bits.use(tuning, clock);
    conv.use(tuning, clock);
  }

  /** The ways to multiply two matrices of bits here, each as the choice by which a tuning takes it; the first is taken where there is no tuning. */
  public List<Tuning.Choice> waysOfXnorGemm(Tensor y, BitTensor a, BitTensor b) {
    return bits.waysOfXnorGemm(y, a, b);
  }

  /** Name of the device, versions of its driver and of cuDNN, and a hash of the kernels: what a measured time belongs to. */
  public List<String> identity() {
    int[] driver = new int[1];
    device.check("cuDriverGetVersion", JCudaDriver.cuDriverGetVersion(driver));
    return List.of(device.model(), "CUDA " + driver[0] + (device.libraries().cudnn() ? ", cuDNN " + JCudnn.cudnnGetVersion() : ""), device.imageHash());
  }

  /** Whether this is the emulated device, which stands for no GPU. */
  public boolean isEmulated() {
    return device.isEmulated();
  }

  /** Times work on this device; refuses on the emulated one. */
  public DeviceClock clock() {
    return new DeviceClock(device);
  }

  /** Times every launch from now on until it is closed; refuses on the emulated device. */
  public LaunchProfile profile() {
    LaunchProfile profile = new LaunchProfile(device);
    device.profile(profile);
    return profile;
  }

  /** Bytes of all memory of the device that this backend holds: parameters, the step's arena, scratch and workspaces. */
  public long allocatedBytes() {
    return device.allocatedBytes();
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public String toString() {
    return name + (conv.usesOwnProducts() ? "-own" : "") + (activations == ElementType.BFLOAT16 ? " bf16" : "");
  }

  @Override
  public String arithmetic() {
    return device.isEmulated() ? "an emulated device" : device.model();
  }

  @Override
  public List<String> describe() {
    List<String> lines = new ArrayList<>();
    lines.add(device.isEmulated() ? "emulated CUDA device for tests, on the host: not a GPU"
        : device.model() + ", compute capability " + device.capability() / 10 + "." + device.capability() % 10);
    lines.add(activations == ElementType.BFLOAT16 ? "precision bf16: activations and their gradients bfloat16, weights, statistics and sums float32"
        : hasBfloat16(device) ? "precision fp32" : "precision fp32, the device has no bfloat16");
    lines.add("bit products: " + product);
    lines.add("steps: " + (device.replays() ? "replayed as CUDA graphs" : "call by call"));
    if (conv.usesOwnProducts()) {
      lines.add("real-valued convolutions and products: own kernels, slow, as asked");
    } else {
      lines.add("cuBLAS: " + (device.libraries().cublas() ? "loaded" : "missing, linear layers cannot run; --set train.realProducts=own lets the own kernels do it"));
      lines.add("cuDNN: " + (device.libraries().cudnn() ? deterministic ? "deterministic algorithms" : "fastest algorithms, not the same bits on every run"
          : "missing, real-valued convolutions cannot run; --set train.realProducts=own lets the own kernels do it"));
      if (activations == ElementType.BFLOAT16) lines.add(conv.stems());
    }
    lines.addAll(device.libraries().notes());
    return lines;
  }

  @Override
  public String float8Refusal() {
    return float8Refusal(device.float8Code(), device.capability(), activations());
  }

  /** The same of any device, with the capability that its kernels were compiled for. */
  static String float8Refusal(int code, int capability, ElementType activations) {
    if (activations != ElementType.BFLOAT16) return "gradients of a device are rounded from bfloat16, and precision fp32 keeps them in float32; give --precision bf16";
    if (code >= CudaDevice.FLOAT8) return null;
    if (capability >= CudaDevice.FLOAT8) return "this build's kernels for this GPU are of compute capability " + code / 10 + "." + code % 10 + ", products of float8 need 8.9; build with "
        + "ONEBIT_ARCHS that names " + (capability == 90 ? "90a" : capability) + ", or leave train.gradients at bfloat16";
    return "this GPU has compute capability " + capability / 10 + "." + capability % 10 + ", products of float8 need 8.9 or newer; leave train.gradients at bfloat16";
  }

  @Override
  public boolean gainsByFusing() {
    return true;
  }

  @Override
  public Tensor create(Shape shape, ElementType type) {
    return new Tensor(shape, type, device.allocate((long) shape.size() * type.bytes()));
  }

  @Override
  public ElementType activations() {
    return activations;
  }

  @Override
  public BitTensor createBits(int rows, int bitsPerRow) {
    return new BitTensor(rows, bitsPerRow, device.allocate(4L * rows * CudaBitOps.words(bitsPerRow)));
  }

  @Override
  public boolean plansRooms() {
    return true;
  }

  @Override
  public void usePlan(Arena plan) {
    planned = plan == null ? null : plan.rooms();
    arena = plan == null ? null : device.allocate(plan.bytes());
    nextRoom = 0;
  }

  @Override
  public Tensor room(Shape shape, ElementType type) {
    return planned == null ? create(shape, type) : new Tensor(shape, type, place((long) shape.size() * type.bytes()));
  }

  @Override
  public BitTensor roomForBits(int rows, int bitsPerRow) {
    return planned == null ? createBits(rows, bitsPerRow) : new BitTensor(rows, bitsPerRow, place(4L * rows * CudaBitOps.words(bitsPerRow)));
  }

  private DeviceMemory place(long bytes) {
    Arena.Room room = planned.get(nextRoom++);
    if (room.bytes() != bytes) throw new IllegalStateException("cuda: a room of " + bytes + " bytes is asked where one of " + room.bytes() + " was planned");
    return arena.part(room.offset(), bytes);
  }

  @Override
  public void write(Tensor to, float[] values) {
    if (to.type() != ElementType.BFLOAT16) {
      upload(to, ElementType.FLOAT32, values.length, MemorySegment.ofArray(values));
      return;
    }
    short[] rounded = new short[Math.min(values.length, to.size())];
    for (int i = 0; i < rounded.length; i++) rounded[i] = Bfloat16.of(values[i]);
    upload(to, ElementType.BFLOAT16, values.length, MemorySegment.ofArray(rounded));
  }

  @Override
  public void write(Tensor to, int[] values) {
    upload(to, ElementType.INT32, values.length, MemorySegment.ofArray(values));
    device.memory(to).remember(values, to.size());
  }

  @Override
  public void write(Tensor to, byte[] values) {
    upload(to, ElementType.UINT8, values.length, MemorySegment.ofArray(values));
  }

  @Override
  public void write(BitTensor to, long[] words) {
    int narrow = CudaBitOps.words(to.bits()), wide = to.words();
    int[] packed = new int[Math.multiplyExact(to.rows(), narrow)];
    for (int i = 0; i < packed.length; i++) packed[i] = (int) (words[i / narrow * wide + i % narrow / 2] >>> 32 * (i % narrow % 2));
    device.upload(device.memory(to), MemorySegment.ofArray(packed));
    bits.layouts().written(to);
  }

  private void upload(Tensor to, ElementType type, int count, MemorySegment values) {
    if (to.type() != type) throw new IllegalArgumentException("write: the tensor " + to.shape() + " is " + to.type() + ", the values are " + type);
    Shapes.requireValues(to, count);
    device.upload(device.memory(to), values.asSlice(0, (long) to.size() * type.bytes()));
  }

  @Override
  public void read(float[] to, Tensor from) {
    if (from.type() == ElementType.BFLOAT16) {
      short[] rounded = new short[from.size()];
      device.download(MemorySegment.ofArray(rounded), device.memory(from));
      for (int i = 0; i < rounded.length; i++) to[i] = Bfloat16.value(rounded[i]);
      return;
    }
    if (from.type() != ElementType.FLOAT32) throw new IllegalArgumentException("read: the tensor " + from.shape() + " is " + from.type() + ", not real values");
    device.download(MemorySegment.ofArray(to).asSlice(0, 4L * from.size()), device.memory(from));
  }

  @Override
  public long[] read(BitTensor from) {
    int words = CudaBitOps.words(from.bits()), wide = from.words();
    int[] packed = new int[Math.multiplyExact(from.rows(), words)];
    device.download(MemorySegment.ofArray(packed), device.memory(from));
    long[] values = new long[Math.multiplyExact(from.rows(), wide)];
    for (int row = 0; row < from.rows(); row++) {
      for (int k = 0; k < words; k++) values[row * wide + k / 2] |= (packed[row * words + k] & 0xffffffffL) << 32 * (k % 2);
    }
    return values;
  }

  @Override
  public Readback readLater(Tensor from) {
    Shapes.requireReadback("readLater", from);
    return device.readLater(device.memory(from), from.size());
  }

  @Override
  public Recorder recorder() {
    CudaRecorder made = new CudaRecorder(device);
    recorders.add(made);
    return made;
  }

  @Override
  public void replay(boolean whether) {
    device.replays(whether);
  }

  @Override
  public Inlet inlet(Shape shape) {
    return new CudaInlet(device, shape);
  }

  @Override
  public void fill(Tensor to, float value) {
    boolean rounded = to.type() == ElementType.BFLOAT16;
    if (!rounded && to.type() != ElementType.FLOAT32) {
      throw new IllegalArgumentException("fill: the tensor " + to.shape() + " is " + to.type() + ", not real values");
    }
    if (to.size() == 0) return;
    if (rounded) device.fill(device.memory(to), Bfloat16.of(value), to.size());
    else device.fill(device.memory(to), Float.floatToRawIntBits(value), to.size());
  }

  @Override
  public void synchronize() {
    device.synchronize();
  }

  @Override
  public long address(Tensor tensor) {
    return device.memory(tensor).address();
  }

  @Override
  public long mainStream() {
    return device.stream().handle();
  }

  @Override
  public long sideStream() {
    return device.side().handle();
  }

  @Override
  public void sideAfterMain() {
    device.sideAfterMain();
  }

  @Override
  public void mainAfterSide() {
    device.mainAfterSide();
  }

  @Override
  public void forgetRecorded() {
    recorders.forEach(CudaRecorder::forget);
  }

  @Override
  public void enter() {
    device.enter();
  }

  @Override
  public List<Path> libraryFolders() {
    return device.libraryFolders();
  }

  @Override
  public Ops ops() {
    return ops;
  }

  @Override
  public void close() {
    if (!device.isClosed()) forgetRecorded();
    conv.close();
    device.close();
  }
}
