package onebit.dist;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

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
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The calls of Open MPI that Onebit makes, through java.lang.foreign. Bytes are all it moves, so its predefined numbers do not matter.
 *
 * <pre>
 * Source   MPI 3.1; Open MPI's mpi.h: MPI_COMM_WORLD is the address of ompi_mpi_comm_world, MPI_BYTE that of ompi_mpi_byte
 * Differs  the library is opened with RTLD_GLOBAL, because its own plug-ins look its symbols up there; its handlers of SIGSEGV are
 *          switched off, because the JVM lives on that signal
 * </pre>
 */
final class MpiLibrary {
  private static final String FILE = "libmpi.so.40";
  private static final int RTLD_NOW_GLOBAL = 0x102;
  private static final int SERIALIZED = 2;
  private static final int LONGEST_VERSION = 1 << 13;
  private static MpiLibrary opened;

  private final MemorySegment world;
  private final MemorySegment bytes;
  private final MethodHandle initThread;
  private final MethodHandle rank;
  private final MethodHandle size;
  private final MethodHandle allToAll;
  private final MethodHandle allGather;
  private final MethodHandle broadcast;
  private final MethodHandle barrier;
  private final MethodHandle finalizeCall;
  private final MethodHandle version;

  private MpiLibrary(SymbolLookup symbols) throws IOException {
    world = symbol(symbols, "ompi_mpi_comm_world");
    bytes = symbol(symbols, "ompi_mpi_byte");
    initThread = call(symbols, "MPI_Init_thread", ADDRESS, ADDRESS, JAVA_INT, ADDRESS);
    rank = call(symbols, "MPI_Comm_rank", ADDRESS, ADDRESS);
    size = call(symbols, "MPI_Comm_size", ADDRESS, ADDRESS);
    allToAll = call(symbols, "MPI_Alltoall", ADDRESS, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS);
    allGather = call(symbols, "MPI_Allgather", ADDRESS, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS);
    broadcast = call(symbols, "MPI_Bcast", ADDRESS, JAVA_INT, ADDRESS, JAVA_INT, ADDRESS);
    barrier = call(symbols, "MPI_Barrier", ADDRESS);
    finalizeCall = call(symbols, "MPI_Finalize");
    version = call(symbols, "MPI_Get_library_version", ADDRESS, ADDRESS);
  }

  /** Why there is no Open MPI here, in one sentence with its mending; null if there is one. */
  static String refusal() {
    return find() == null ? "Open MPI's " + FILE + " is not installed; mend with: apt-get install openmpi-bin" : null;
  }

  /** The library's file; null where there is none. */
  static Path find() {
    List<Path> folders = new ArrayList<>();
    for (Map.Entry<String, String> from : List.of(Map.entry("LD_LIBRARY_PATH", ""), Map.entry("OPAL_PREFIX", "lib"), Map.entry("MPI_HOME", "lib"))) {
      for (String folder : System.getenv().getOrDefault(from.getKey(), "").split(":")) if (!folder.isBlank()) folders.add(Path.of(folder, from.getValue()));
    }
    for (String folder : List.of("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib64/openmpi/lib", "/usr/lib", "/usr/local/lib", "/opt/openmpi/lib")) {
      folders.add(Path.of(folder));
    }
    return folders.stream().map(f -> f.resolve(FILE)).filter(Files::exists).findFirst().orElse(null);
  }

  /**
   * The library, loaded once per process.
   *
   * @throws IOException if it is not installed or not Open MPI
   */
  static synchronized MpiLibrary open() throws IOException {
    if (opened != null) return opened;
    Path file = find();
    if (file == null) throw new IOException(refusal());
    try (Arena arena = Arena.ofConfined()) {
      Linker linker = Linker.nativeLinker();
      setUnlessSet(linker, arena, "OMPI_MCA_opal_signal", "");
      setUnlessSet(linker, arena, "OMPI_MCA_mpi_yield_when_idle", "1");
      MethodHandle dlopen = linker.downcallHandle(linker.defaultLookup().findOrThrow("dlopen"), FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT));
      MemorySegment handle = (MemorySegment) dlopen.invokeExact(arena.allocateFrom(file.toString()), RTLD_NOW_GLOBAL);
      if (handle.address() == 0) throw new IOException(file + " cannot be loaded");
      opened = new MpiLibrary(SymbolLookup.libraryLookup(file, Arena.global()));
      return opened;
    } catch (IOException e) {
      throw e;
    } catch (Throwable e) {
      throw new IOException(file + " cannot be loaded: " + e.getMessage(), e);
    }
  }

  private static void setUnlessSet(Linker linker, Arena arena, String name, String value) throws Throwable {
    MethodHandle setenv = linker.downcallHandle(linker.defaultLookup().findOrThrow("setenv"), FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));
    int unused = (int) setenv.invokeExact(arena.allocateFrom(name), arena.allocateFrom(value), 0);
  }

  private static MemorySegment symbol(SymbolLookup symbols, String name) throws IOException {
    return symbols.find(name).orElseThrow(() -> new IOException(FILE + " has no " + name + "; it is not Open MPI 3 or 4"));
  }

  private static MethodHandle call(SymbolLookup symbols, String name, MemoryLayout... arguments) throws IOException {
    return Linker.nativeLinker().downcallHandle(symbol(symbols, name), FunctionDescriptor.of(JAVA_INT, arguments));
  }

  private interface Call {
    int run(Arena arena) throws Throwable;
  }

  private static void run(String name, Call call) {
    try (Arena arena = Arena.ofConfined()) {
      int code = call.run(arena);
      if (code != 0) throw new IllegalStateException(name + " answered " + code);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(name + " could not be called", e);
    }
  }

  /** MPI_Init_thread: one thread at a time will call. */
  void initialize() {
    run("MPI_Init_thread", arena -> (int) initThread.invokeExact(MemorySegment.NULL, MemorySegment.NULL, SERIALIZED, arena.allocate(JAVA_INT)));
  }

  int rank() {
    int[] value = new int[1];
    run("MPI_Comm_rank", arena -> number(rank, arena, value));
    return value[0];
  }

  int size() {
    int[] value = new int[1];
    run("MPI_Comm_size", arena -> number(size, arena, value));
    return value[0];
  }

  private int number(MethodHandle handle, Arena arena, int[] value) throws Throwable {
    MemorySegment out = arena.allocate(JAVA_INT);
    int code = (int) handle.invokeExact(world, out);
    value[0] = out.get(JAVA_INT, 0);
    return code;
  }

  /** Part r of from goes to rank r; part r of to came from rank r. Units: each in bytes. */
  void allToAll(MemorySegment to, MemorySegment from, int each) {
    run("MPI_Alltoall", arena -> (int) allToAll.invokeExact(from, each, bytes, to, each, bytes, world));
  }

  /** Part r of to is from of rank r. */
  void allGather(MemorySegment to, MemorySegment from, int each) {
    run("MPI_Allgather", arena -> (int) allGather.invokeExact(from, each, bytes, to, each, bytes, world));
  }

  /** The bytes of rank 0 everywhere. */
  void broadcast(MemorySegment values, int count) {
    run("MPI_Bcast", arena -> (int) broadcast.invokeExact(values, count, bytes, 0, world));
  }

  void barrier() {
    run("MPI_Barrier", arena -> (int) barrier.invokeExact(world));
  }

  void finish() {
    run("MPI_Finalize", arena -> (int) finalizeCall.invokeExact());
  }

  /** Such as "Open MPI v4.1.4". */
  String version() {
    String[] text = new String[1];
    run("MPI_Get_library_version", arena -> {
      MemorySegment room = arena.allocate(LONGEST_VERSION);
      int code = (int) version.invokeExact(room, arena.allocate(JAVA_INT));
      text[0] = room.getString(0);
      return code;
    });
    int comma = text[0].indexOf(',');
    return comma < 0 ? text[0] : text[0].substring(0, comma);
  }
}
