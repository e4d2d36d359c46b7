package onebit.ops.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUevent;
import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;
import onebit.ops.Backend;
import onebit.ops.Readback;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/** One device with its context, its stream, the kernels' module and the memory asked of it; every op of the backend goes to the one stream. */
final class CudaDevice implements AutoCloseable {
  /** Memory that lives only within one op; two pieces of different use never overlap. */
  enum Scratch { SUMS, TOTALS, COUNTERS, CHANNELS, FILTERS, COUNTS, IMAGE, BLOCKS, VALUES, PIXELS, TILES, PEAKS, CENTRED, LEFT, RIGHT, LIBRARY }

  private static final int NON_BLOCKING = 1;
  private static final int NO_TIMING = 2;
  private static final int SLOTS = 4;
  private static final int SLOT_BYTES = 4 << 20;
  private static final int READBACKS = 8;
  /** The compute capability (times ten) from which on there are products of float8. */
  static final int FLOAT8 = 89;

  /** A stream that tells its handle. */
  static final class Stream extends CUstream {
    long handle() {
      return getNativePointer();
    }
  }

  private static final ThreadLocal<CudaDevice> CURRENT = new ThreadLocal<>();
  private static volatile boolean realInUse;

  private final boolean emulated;
  private final NativeLibraries.Loaded libraries;
  private final CUdevice handle = new CUdevice();
  private final CUcontext context = new CUcontext();
  private final CUmodule module = new CUmodule();
  private final Stream stream = new Stream();
  private final Stream side = new Stream();
  private final CUevent mainReached = new CUevent();
  private final CUevent sideReached = new CUevent();
  private boolean sideMade;
  private final Map<String, Kernel> kernels = new HashMap<>();
  private final Map<String, Kernel> roundedKernels = new HashMap<>();
  private final List<DeviceMemory> allocations = new ArrayList<>();
  private final Map<Scratch, DeviceMemory> scratch = new EnumMap<>(Scratch.class);
  private final Map<Object, DeviceMemory> tables = new HashMap<>();
  private final String model;
  private final int capability;
  private final int multiprocessors;
  private final int sharedBytes;
  private final int reservedSharedBytes;
  private final String imageHash;
  private final List<Staging> stagings = new ArrayList<>();
  private final List<CUevent> events = new ArrayList<>();
  private final Staging staging = staging(SLOTS, SLOT_BYTES);
  private final Staging results = staging(READBACKS, 4L * Backend.READBACK);
  private CUstream copyStream;
  private long memoryState;
  private int float8Code;
  private boolean replays = true;
  private boolean recording;
  private volatile boolean closed;
  private LaunchProfile profile;

  private CudaDevice(int index, boolean emulated, NativeLibraries.Loaded libraries, byte[] image) {
    this.emulated = emulated;
    this.libraries = libraries;
    check("cuInit", JCudaDriver.cuInit(0));
    check("cuDeviceGet " + index, JCudaDriver.cuDeviceGet(handle, index));
    byte[] name = new byte[256];
    check("cuDeviceGetName", JCudaDriver.cuDeviceGetName(name, name.length, handle));
    model = new String(name).replace("\0", "").trim();
    capability = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) * 10
        + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    multiprocessors = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    sharedBytes = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
    reservedSharedBytes = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK);
    check("cuDevicePrimaryCtxRetain", JCudaDriver.cuDevicePrimaryCtxRetain(context, handle));
    enter();
    imageHash = hash(image);
    check("cuModuleLoadData", JCudaDriver.cuModuleLoadData(module, image));
    check("cuStreamCreate", JCudaDriver.cuStreamCreate(stream, NON_BLOCKING));
  }

  /** The device of that index of the real driver. */
  static CudaDevice real(int index) throws IOException {
    if (EmulatedDriver.isOpen()) throw new IOException("cuda: this process runs the emulated device; a real one needs a process of its own");
    realInUse = true;
    NativeLibraries.Loaded libraries = NativeLibraries.load();
    try (InputStream in = CudaDevice.class.getResourceAsStream("/onebit/kernels.fatbin")) {
      if (in == null) throw new IOException("cuda: this build has no GPU kernels, because nvcc was missing when it was made; install CUDA's nvcc and run mvn package");
      return new CudaDevice(index, false, libraries, in.readAllBytes());
    }
  }

  /** Folders where the libraries of this device are looked for. */
  List<Path> libraryFolders() {
    return emulated ? List.of(EmulatedDriver.folder()) : CudaLibraries.find().searched();
  }

  static CudaDevice emulated() throws IOException {
    if (realInUse) throw new IOException("cuda-emulated: this process uses the real CUDA driver; the emulated device needs a process of its own");
    EmulatedDriver driver = EmulatedDriver.open();
    return new CudaDevice(0, true, driver.libraries(), driver.image());
  }

  /** Which of cuBLAS and cuDNN could be loaded, and what was done for that. */
  NativeLibraries.Loaded libraries() {
    return libraries;
  }

  boolean isEmulated() {
    return emulated;
  }

  /** @throws IllegalArgumentException on the emulated device, whose times say nothing */
  void requireTimed() {
    if (emulated) throw new IllegalArgumentException("cuda-emulated is a test device and never timed");
  }

  /** Compute capability times ten: 90 for sm_90. */
  int capability() {
    return capability;
  }

  /** Whether it has products of warpgroups, which are instructions of sm_90a alone; the emulated device has, whatever capability it is asked to tell. */
  boolean hasWarpgroups() {
    return emulated || capability == 90;
  }

  /** The compute capability (times ten) that the products of float8 were compiled for, whose kernels are empty below {@link #FLOAT8}; the emulated device has them. */
  int float8Code() {
    if (emulated) return FLOAT8;
    if (float8Code == 0) float8Code = kernel("float8_peak", ElementType.BFLOAT16).capability();
    return float8Code;
  }

  String model() {
    return model;
  }

  /** The first 16 digits of the kernels' SHA-256. */
  String imageHash() {
    return imageHash;
  }

  private static String hash(byte[] image) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(image)).substring(0, 16);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  Stream stream() {
    return stream;
  }

  /** A second stream, made when it is first asked for. */
  Stream side() {
    if (!sideMade) {
      enter();
      check("cuStreamCreate", JCudaDriver.cuStreamCreate(side, 1));
      check("cuEventCreate", JCudaDriver.cuEventCreate(mainReached, NO_TIMING));
      check("cuEventCreate", JCudaDriver.cuEventCreate(sideReached, NO_TIMING));
      sideMade = true;
    }
    return side;
  }

  /** Later work of the second stream waits for all work so far of the first. */
  void sideAfterMain() {
    order(side(), mainReached, stream);
  }

  /** Later work of the first stream waits for all work so far of the second. */
  void mainAfterSide() {
    order(stream, sideReached, side());
  }

  private void order(CUstream later, CUevent event, CUstream earlier) {
    enter();
    check("cuEventRecord", JCudaDriver.cuEventRecord(event, earlier));
    check("cuStreamWaitEvent", JCudaDriver.cuStreamWaitEvent(later, event, 0));
  }

  private int attribute(int which) {
    int[] value = new int[1];
    check("cuDeviceGetAttribute", JCudaDriver.cuDeviceGetAttribute(value, which, handle));
    return value[0];
  }

  /** Makes this device's context current in the calling thread. */
  void enter() {
    if (closed) throw new IllegalStateException("cuda: the backend is closed");
    if (CURRENT.get() == this) return;
    check("cuCtxSetCurrent", JCudaDriver.cuCtxSetCurrent(context));
    CURRENT.set(this);
  }

  void check(String call, int code) {
    if (code != 0) throw CudaException.driver(call, code, "");
  }

  /** A kernel of the module by its entry name. */
  Kernel kernel(String name) {
    return kernels.computeIfAbsent(name, n -> find(n, ElementType.FLOAT32));
  }

  /** The kernel of that name for elements like those of x: the entry of that name on float32, name_bf16 on bfloat16. */
  Kernel kernel(String name, Tensor x) {
    return kernel(name, x.type());
  }

  Kernel kernel(String name, ElementType elements) {
    if (elements != ElementType.BFLOAT16) return kernel(name);
    return roundedKernels.computeIfAbsent(name, n -> find(n + "_bf16", ElementType.BFLOAT16));
  }

  private Kernel find(String entry, ElementType elements) {
    enter();
    CUfunction function = new CUfunction();
    check("cuModuleGetFunction " + entry, JCudaDriver.cuModuleGetFunction(function, module, entry));
    return new Kernel(this, entry, elements, function);
  }

  /** Blocks of 256 threads for n elements, each thread taking several where there are many. */
  int blocks(int n) {
    return (int) Math.min((n + 255L) / 256, 32L * multiprocessors);
  }

  int multiprocessors() {
    return multiprocessors;
  }

  /** Blocks that the shared memory of a multiprocessor is enough for, each with so many bytes of it. */
  int blocksBySharedMemory(int bytes) {
    return sharedBytes / (bytes + reservedSharedBytes);
  }

  /** New memory of zeros, freed with the device. */
  DeviceMemory allocate(long bytes) {
    requireNotRecording("memory was asked");
    enter();
    DeviceMemory.Address pointer = new DeviceMemory.Address();
    long room = Math.max(16, bytes);
    int code = JCudaDriver.cuMemAlloc(pointer, room);
    if (code != 0) throw CudaException.driver("cuMemAlloc", code, room + " bytes asked" + freeBytes());
    DeviceMemory memory = new DeviceMemory(this, pointer, room);
    allocations.add(memory);
    check("cuMemsetD8Async", JCudaDriver.cuMemsetD8Async(pointer, (byte) 0, room, stream));
    return memory;
  }

  private static String freeBytes() {
    long[] free = new long[1], total = new long[1];
    return JCudaDriver.cuMemGetInfo(free, total) == 0 ? ", " + free[0] + " of " + total[0] + " free" : "";
  }

  /** At least so many bytes for one op; the same memory on every call once it is large enough. */
  DeviceMemory scratch(Scratch use, long bytes) {
    DeviceMemory known = scratch.get(use);
    if (known != null && known.bytes() >= bytes) return known;
    if (known != null) free(known);
    DeviceMemory memory = allocate(Math.max(bytes, 1 << 16));
    scratch.put(use, memory);
    return memory;
  }

  /** The constants that go by this key, sent when it is first asked for and kept. */
  DeviceMemory table(Object key, Supplier<float[]> constants) {
    DeviceMemory known = tables.get(key);
    if (known != null) return known;
    MemorySegment values = MemorySegment.ofArray(constants.get());
    DeviceMemory memory = allocate(values.byteSize());
    upload(memory, values);
    tables.put(key, memory);
    return memory;
  }

  /** 16,384 whole counters, 0 between two launches, by which the last block of a launch knows itself: two for each 32 channels that are summed, and some for more splits. */
  DeviceMemory counters() {
    return scratch(Scratch.COUNTERS, 4L << 14);
  }

  private void free(DeviceMemory memory) {
    enter();
    memoryChanged();
    check("cuMemFree", JCudaDriver.cuMemFree(memory.pointer()));
    allocations.remove(memory);
  }

  DeviceMemory memory(Tensor tensor) {
    return own(tensor.memory(), "tensor", tensor.shape());
  }

  DeviceMemory memory(BitTensor bits) {
    return own(bits.memory(), "bits", bits.rows() + " rows of " + bits.bits());
  }

  private DeviceMemory own(Object memory, String kind, Object shape) {
    if (memory instanceof DeviceMemory own && own.device() == this) return own;
    clearArguments();
    throw new IllegalArgumentException("cuda: the " + kind + " " + shape + " do not live on this device; create and write them through this backend");
  }

  /** Forgets the arguments given to any kernel so far: an op is refused half way. */
  void clearArguments() {
    kernels.values().forEach(Kernel::clear);
    roundedKernels.values().forEach(Kernel::clear);
  }

  /** Copies host values to the device; the call returns when the values may change again. */
  void upload(DeviceMemory to, MemorySegment from) {
    requireNotRecording("values were written from the host");
    for (long at = 0; at < from.byteSize(); at += staging.slotBytes()) {
      staging.slot().send(to, at, from.asSlice(at, Math.min(staging.slotBytes(), from.byteSize() - at)), stream);
    }
  }

  /** Copies device values to the host when all earlier work is done. */
  void download(MemorySegment to, DeviceMemory from) {
    requireNotRecording("values were read by the host");
    for (long at = 0; at < to.byteSize(); at += staging.slotBytes()) {
      long bytes = Math.min(staging.slotBytes(), to.byteSize() - at);
      Staging.Slot slot = staging.slot();
      slot.ask(from, at, bytes, stream);
      slot.await();
      MemorySegment.copy(slot.memory(), 0, to, at, bytes);
    }
  }

  /** Asks for n floats of the device without waiting for them. */
  Readback readLater(DeviceMemory from, int n) {
    requireNotRecording("values were asked by the host");
    Staging.Slot slot = results.reserve();
    slot.ask(from, 0, 4L * n, stream);
    return () -> slot.take(n);
  }

  /** A number that changes when what was recorded with addresses of this device holds no longer. */
  long memoryState() {
    return memoryState;
  }

  /** Says that memory was given up, or that a table which kernels read was written anew. */
  void memoryChanged() {
    memoryState++;
  }

  /** From now on every launch is timed there; null times nothing. */
  void profile(LaunchProfile to) {
    profile = to;
  }

  /** Where launches are timed; null where they are not. */
  LaunchProfile profile() {
    return profile;
  }

  /** Runs a call of a library, timed under that name where that was asked for. */
  void timed(Supplier<String> name, Runnable call) {
    if (profile == null) call.run();
    else profile.time(name.get(), 0, call);
  }

  /** Bytes of all memory this device was asked for. */
  long allocatedBytes() {
    return allocations.stream().mapToLong(DeviceMemory::bytes).sum();
  }

  boolean replays() {
    return replays;
  }

  void replays(boolean whether) {
    replays = whether;
  }

  void recording(boolean now) {
    recording = now;
  }

  private void requireNotRecording(String what) {
    if (recording) throw new IllegalStateException("cuda: " + what + " inside work that is recorded; it belongs before or behind it");
  }

  /** Page-locked memory for copies to and from this device, freed with it. */
  Staging staging(int slots, long slotBytes) {
    Staging made = new Staging(this, slots, slotBytes);
    stagings.add(made);
    return made;
  }

  /** The stream of copies that go beside the work of the other one. */
  CUstream copyStream() {
    if (copyStream == null) {
      enter();
      CUstream made = new CUstream();
      check("cuStreamCreate", JCudaDriver.cuStreamCreate(made, NON_BLOCKING));
      copyStream = made;
    }
    return copyStream;
  }

  /** A new event without a time, destroyed with the device. */
  CUevent event() {
    enter();
    CUevent event = new CUevent();
    check("cuEventCreate", JCudaDriver.cuEventCreate(event, NO_TIMING));
    events.add(event);
    return event;
  }

  void record(CUevent event, CUstream behind) {
    enter();
    check("cuEventRecord", JCudaDriver.cuEventRecord(event, behind));
  }

  void copy(DeviceMemory to, DeviceMemory from, long bytes) {
    enter();
    check("cuMemcpyDtoDAsync", JCudaDriver.cuMemcpyDtoDAsync(to.pointer(), from.pointer(), bytes, stream));
  }

  void fill(DeviceMemory to, int word, long words) {
    enter();
    check("cuMemsetD32Async", JCudaDriver.cuMemsetD32Async(to.pointer(), word, words, stream));
  }

  void fill(DeviceMemory to, short half, long halves) {
    enter();
    check("cuMemsetD16Async", JCudaDriver.cuMemsetD16Async(to.pointer(), half, halves, stream));
  }

  void synchronize() {
    requireNotRecording("the host waited");
    enter();
    check("cuStreamSynchronize", JCudaDriver.cuStreamSynchronize(stream));
  }

  boolean isClosed() {
    return closed;
  }

  @Override
  public void close() {
    if (closed) return;
    enter();
    JCudaDriver.cuStreamSynchronize(stream);
    if (copyStream != null) JCudaDriver.cuStreamSynchronize(copyStream);
    for (DeviceMemory memory : allocations) JCudaDriver.cuMemFree(memory.pointer());
    stagings.forEach(Staging::close);
    events.forEach(JCudaDriver::cuEventDestroy);
    if (copyStream != null) JCudaDriver.cuStreamDestroy(copyStream);
    JCudaDriver.cuModuleUnload(module);
    if (sideMade) {
      JCudaDriver.cuEventDestroy(mainReached);
      JCudaDriver.cuEventDestroy(sideReached);
      JCudaDriver.cuStreamDestroy(side);
    }
    JCudaDriver.cuStreamDestroy(stream);
    closed = true;
    CURRENT.remove();
    JCudaDriver.cuDevicePrimaryCtxRelease(handle);
  }
}
