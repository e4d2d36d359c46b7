package onebit.dist.nccl;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The calls of NCCL that Onebit makes, through java.lang.foreign.
 *
 * <pre>
 * Source   nccl.h of NCCL 2: ncclUniqueId is 128 bytes and travels by value; ncclFloat32 is 7, ncclBfloat16 9, ncclAvg 4 (since 2.10)
 * </pre>
 */
final class NcclLibrary {
  static final int ID_BYTES = 128, FLOAT32 = 7, BFLOAT16 = 9;
  private static final int AVERAGE = 4, OLDEST = 21_000;
  private static final String FILE = "libnccl.so.2";
  private static final long LONGEST_TEXT = 1 << 14;
  private static final MemoryLayout ID = MemoryLayout.structLayout(MemoryLayout.sequenceLayout(ID_BYTES, JAVA_BYTE));

  private final Path file;
  private final MethodHandle version;
  private final MethodHandle uniqueId;
  private final MethodHandle initRank;
  private final MethodHandle allReduce;
  private final MethodHandle allGather;
  private final MethodHandle broadcast;
  private final MethodHandle groupStart;
  private final MethodHandle groupEnd;
  private final MethodHandle asyncError;
  private final MethodHandle destroy;
  private final MethodHandle errorString;
  private final Optional<MethodHandle> lastError;

  private NcclLibrary(Path file, SymbolLookup symbols) throws IOException {
    this.file = file;
    version = call(symbols, "ncclGetVersion", ADDRESS);
    uniqueId = call(symbols, "ncclGetUniqueId", ADDRESS);
    initRank = call(symbols, "ncclCommInitRank", ADDRESS, JAVA_INT, ID, JAVA_INT);
    allReduce = call(symbols, "ncclAllReduce", ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
    allGather = call(symbols, "ncclAllGather", ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, ADDRESS, ADDRESS);
    broadcast = call(symbols, "ncclBroadcast", ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
    groupStart = call(symbols, "ncclGroupStart");
    groupEnd = call(symbols, "ncclGroupEnd");
    asyncError = call(symbols, "ncclCommGetAsyncError", ADDRESS, ADDRESS);
    destroy = call(symbols, "ncclCommDestroy", ADDRESS);
    Linker linker = Linker.nativeLinker();
    errorString = linker.downcallHandle(symbols.findOrThrow("ncclGetErrorString"), FunctionDescriptor.of(ADDRESS, JAVA_INT));
    lastError = symbols.find("ncclGetLastError").map(s -> linker.downcallHandle(s, FunctionDescriptor.of(ADDRESS, ADDRESS)));
  }

  private static MethodHandle call(SymbolLookup symbols, String name, MemoryLayout... arguments) throws IOException {
    MemorySegment symbol = symbols.find(name).orElseThrow(() -> new IOException(FILE + " has no " + name + "; NCCL 2.10 or newer is needed"));
    return Linker.nativeLinker().downcallHandle(symbol, FunctionDescriptor.of(JAVA_INT, arguments));
  }

  /** The library's file in the first folder that has it; empty where none has. */
  static Optional<Path> find(List<Path> folders) {
    return folders.stream().map(folder -> folder.resolve(FILE)).filter(Files::exists).map(Path::toAbsolutePath).findFirst();
  }

  /**
   * The library of the first folder that has it.
   *
   * @throws IOException if there is none, or it is too old
   */
  static NcclLibrary open(List<Path> folders) throws IOException {
    Path file = find(folders).orElseThrow(() -> new IOException(missing()));
    try {
      NcclLibrary library = new NcclLibrary(file, SymbolLookup.libraryLookup(file, Arena.global()));
      if (library.version() < OLDEST) throw new IOException(file + " is NCCL " + library.version() + "; 2.10 or newer is needed");
      return library;
    } catch (IllegalArgumentException e) {
      throw new IOException(file + " cannot be loaded: " + e.getMessage(), e);
    }
  }

  static String missing() {
    return "NCCL: missing, " + FILE + " was not found; mend with: pip install --user nvidia-nccl-cu13 (or name its folder in ONEBIT_CUDA_LIBS)";
  }

  Path file() {
    return file;
  }

  private interface Call {
    int run(Arena arena) throws Throwable;
  }

  private void run(String name, Call call) {
    try (Arena arena = Arena.ofConfined()) {
      int code = call.run(arena);
      if (code != 0) throw new IllegalStateException(name + " answered " + code + ": " + text(code));
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(name + " could not be called", e);
    }
  }

  /** What a code means, with NCCL's own last words where it keeps them. */
  String text(int code) {
    try {
      String text = ((MemorySegment) errorString.invokeExact(code)).reinterpret(LONGEST_TEXT).getString(0);
      if (lastError.isEmpty()) return text;
      MemorySegment more = (MemorySegment) lastError.get().invokeExact(MemorySegment.NULL);
      String detail = more.address() == 0 ? "" : more.reinterpret(LONGEST_TEXT).getString(0).strip();
      return detail.isEmpty() ? text : text + " (" + detail + ")";
    } catch (Throwable e) {
      return "no text";
    }
  }

  /** Such as 21903 for 2.19.3. */
  int version() {
    int[] value = new int[1];
    run("ncclGetVersion", arena -> {
      MemorySegment out = arena.allocate(JAVA_INT);
      int code = (int) version.invokeExact(out);
      value[0] = out.get(JAVA_INT, 0);
      return code;
    });
    return value[0];
  }

  /** The name under which the ranks of one communicator meet; one rank asks for it and tells the others. */
  byte[] uniqueId() {
    byte[] id = new byte[ID_BYTES];
    run("ncclGetUniqueId", arena -> {
      MemorySegment out = arena.allocate(ID_BYTES);
      int code = (int) uniqueId.invokeExact(out);
      MemorySegment.copy(out, JAVA_BYTE, 0, id, 0, ID_BYTES);
      return code;
    });
    return id;
  }

  /** The communicator's handle; returns when all ranks have come. */
  MemorySegment initialize(byte[] id, int rank, int size) {
    MemorySegment[] made = new MemorySegment[1];
    run("ncclCommInitRank", arena -> {
      MemorySegment out = arena.allocate(ADDRESS), by = arena.allocate(ID);
      MemorySegment.copy(id, 0, by, JAVA_BYTE, 0, ID_BYTES);
      int code = (int) initRank.invokeExact(out, size, by, rank);
      made[0] = out.get(ADDRESS, 0);
      return code;
    });
    return made[0];
  }

  /** The mean over the ranks of count values, in their place. */
  void mean(long values, long count, int type, MemorySegment communicator, long stream) {
    run("ncclAllReduce", arena -> (int) allReduce.invokeExact(at(values), at(values), count, type, AVERAGE, communicator, at(stream)));
  }

  /** Count float32 values of each rank, one rank after the other. */
  void allGather(long to, long from, long count, MemorySegment communicator, long stream) {
    run("ncclAllGather", arena -> (int) allGather.invokeExact(at(from), at(to), count, FLOAT32, communicator, at(stream)));
  }

  /** Count float32 values of rank 0 on every rank. */
  void broadcast(long values, long count, MemorySegment communicator, long stream) {
    run("ncclBroadcast", arena -> (int) broadcast.invokeExact(at(values), at(values), count, FLOAT32, 0, communicator, at(stream)));
  }

  /** The calls made meanwhile go to the device together. */
  void together(Runnable calls) {
    run("ncclGroupStart", arena -> (int) groupStart.invokeExact());
    calls.run();
    run("ncclGroupEnd", arena -> (int) groupEnd.invokeExact());
  }

  /** What went wrong beside the calls; empty if nothing did. */
  Optional<String> trouble(MemorySegment communicator) {
    int[] code = new int[1];
    run("ncclCommGetAsyncError", arena -> {
      MemorySegment out = arena.allocate(JAVA_INT);
      int answer = (int) asyncError.invokeExact(communicator, out);
      code[0] = out.get(JAVA_INT, 0);
      return answer;
    });
    return code[0] == 0 ? Optional.empty() : Optional.of(text(code[0]));
  }

  void destroy(MemorySegment communicator) {
    run("ncclCommDestroy", arena -> (int) destroy.invokeExact(communicator));
  }

  private static MemorySegment at(long address) {
    return MemorySegment.ofAddress(address);
  }
}
