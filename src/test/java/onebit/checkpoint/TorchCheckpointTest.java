package onebit.checkpoint;

import static onebit.checkpoint.PickleBytes.floats;
import static onebit.checkpoint.PickleBytes.pickle;
import static onebit.checkpoint.PickleBytes.zip;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class TorchCheckpointTest {
  private static final byte[] SIX = floats(0, 1, 2, 3, 4, 5);

  private static TorchCheckpoint read(byte[] bytes) throws CheckpointException {
    return TorchCheckpoint.read("t", ByteBuffer.wrap(bytes));
  }

  private static TorchCheckpoint readPickle(byte[] pickle) throws Exception {
    return read(zip(false, "archive/data.pkl", pickle, "archive/data/0", SIX));
  }

  private static String refusal(byte[] bytes) {
    return assertThrows(CheckpointException.class, () -> read(bytes)).getMessage();
  }

  private static byte[] oneTensor(String storage, long elements, long offset, long[] sizes, long[] strides) {
    return pickle().ops("}").text("w").tensor(storage, "0", elements, offset, sizes, strides).ops("s").stop();
  }

  /** A tensor whose call has a seventh argument: PyTorch 2 writes flags there, as for {@code x.conj().imag}. */
  private static byte[] flagged(String seventh) {
    return pickle().ops("}").text("w").tensor("FloatStorage", "0", 6, 0, new long[] {6}, new long[] {1}, seventh).ops("s").stop();
  }

  /** The published checkpoint: its stem decoded by hand from its zip entry, its counts known from the network. */
  @Test
  void thePublishedAdaBinCheckpointIsRead() throws Exception {
    Path path = Path.of("../shared/data/checkpoints/adabin-resnet20-cifar10.th");
    assumeTrue(Files.exists(path), "the published checkpoint in ../shared/data/checkpoints is not here");
    TorchCheckpoint read = TorchCheckpoint.read(path);
    assertEquals("conv1.weight", read.tensors().getFirst().name());
    assertArrayEquals(new int[] {16, 3, 3, 3}, read.tensors().getFirst().shape());
    try (ZipFile zip = new ZipFile(path.toFile())) {
      byte[] stem = zip.getInputStream(zip.getEntry("archive/data/94664261342240")).readAllBytes();
      ByteBuffer values = ByteBuffer.wrap(stem).order(ByteOrder.LITTLE_ENDIAN);
      float[] found = read.tensors().getFirst().floats();
      assertEquals(432, found.length);
      for (int i = 0; i < found.length; i++) assertEquals(values.getFloat(4 * i), found[i]);
      long stored = zip.stream().filter(e -> e.getName().startsWith("archive/data/")).mapToLong(e -> e.getSize()).sum();
      long tensors = read.tensors().stream().mapToLong(t -> t.data().remaining()).sum();
      assertEquals(stored, tensors + 4, "all storages but the one float of best_prec1");
    }
    long buffers = read.tensors().stream().filter(t -> t.name().contains("running_")).mapToLong(NamedTensor::elements).sum();
    assertEquals(20, read.tensors().stream().filter(t -> t.name().endsWith("num_batches_tracked")).count());
    assertEquals(2 * (7 * 16 + 6 * 32 + 7 * 64), buffers);
    assertEquals(271_262 + buffers + 20, read.tensors().stream().mapToLong(NamedTensor::elements).sum());
    assertTrue(read.tensors().stream().noneMatch(t -> t.name().startsWith("module.")));
    assertTrue(read.metadata().get("best_prec1").startsWith("88.0"), read.metadata().toString());
    assertEquals(List.of(), read.skipped());
  }

  @Test
  void aNestedStateDictGivesTensorsScalarsAndSkippedKeys() throws Exception {
    byte[] bytes = pickle().ops("}(")
        .text("epoch").number(7)
        .text("state_dict").global("collections", "OrderedDict").ops(")R(")
        .text("module.w").tensor("FloatStorage", "0", 6, 0, new long[] {2, 3}, new long[] {3, 1})
        .text("module.b").global("torch._utils", "_rebuild_parameter").ops("(").tensor("FloatStorage", "0", 6, 4, new long[] {2}, new long[] {1})
        .raw(0x88).ops("}tR").ops("u}").text("_metadata").ops("}sb")
        .text("best").real(0.5)
        .text("top").tensor("FloatStorage", "0", 6, 5, new long[0], new long[0])
        .text("one").tensor("FloatStorage", "0", 6, 3, new long[] {1}, new long[] {1})
        .text("arch").text("resnet20")
        .text("optimizer").ops("}")
        .text("none").ops("N")
        .ops("u").stop();
    TorchCheckpoint read = readPickle(bytes);
    assertEquals(List.of("w", "b"), read.tensors().stream().map(NamedTensor::name).toList());
    assertArrayEquals(new float[] {0, 1, 2, 3, 4, 5}, read.tensors().get(0).floats());
    assertArrayEquals(new float[] {4, 5}, read.tensors().get(1).floats());
    assertEquals(Map.of("epoch", "7", "best", "0.5", "top", "5.0", "one", "3.0", "arch", "resnet20"), read.metadata());
    assertEquals(List.of("optimizer", "none"), read.skipped());
  }

  @Test
  void aPrefixOfSomeNamesOnlyStays() throws Exception {
    TorchCheckpoint read = readPickle(pickle().ops("}(")
        .text("module.w").tensor("FloatStorage", "0", 6, 0, new long[] {6}, new long[] {1})
        .text("v").tensor("FloatStorage", "0", 6, 0, new long[] {6}, new long[] {1}).ops("u").stop());
    assertEquals(List.of("module.w", "v"), read.tensors().stream().map(NamedTensor::name).toList());
  }

  static Stream<Arguments> views() {
    return Stream.of(
        Arguments.of(0, new long[] {3, 2}, new long[] {1, 3}, new float[] {0, 3, 1, 4, 2, 5}),
        Arguments.of(1, new long[] {2, 2}, new long[] {3, 1}, new float[] {1, 2, 4, 5}),
        Arguments.of(2, new long[] {2, 3}, new long[] {0, 1}, new float[] {2, 3, 4, 2, 3, 4}),
        Arguments.of(1, new long[] {1, 5}, new long[] {99, 1}, new float[] {1, 2, 3, 4, 5}),
        Arguments.of(0, new long[] {2, 1, 3}, new long[] {1, 7, 2}, new float[] {0, 2, 4, 1, 3, 5}),
        Arguments.of(5, new long[0], new long[0], new float[] {5}),
        Arguments.of(6, new long[] {4, 0}, new long[] {9, 9}, new float[0]));
  }

  @ParameterizedTest
  @MethodSource("views")
  void stridedViewsAreGathered(long offset, long[] sizes, long[] strides, float[] expected) throws Exception {
    NamedTensor tensor = readPickle(oneTensor("FloatStorage", 6, offset, sizes, strides)).tensors().getFirst();
    assertArrayEquals(expected, tensor.floats());
    assertArrayEquals(Arrays.stream(sizes).mapToInt(s -> (int) s).toArray(), tensor.shape());
  }

  @Test
  void storagesOfNothingAndTensorsWithoutFlagsAreRead() throws Exception {
    byte[] empty = oneTensor("FloatStorage", 0, 0, new long[] {0}, new long[] {1});
    assertEquals(0, read(zip(false, "a/data.pkl", empty, "a/data/0", new byte[0])).tensors().getFirst().elements());
    for (String seventh : List.of("N", "}")) assertArrayEquals(new float[] {0, 1, 2, 3, 4, 5}, readPickle(flagged(seventh)).tensors().getFirst().floats());
  }

  @Test
  void everyStorageTypeIsKnown() throws Exception {
    String[] storages = {"DoubleStorage", "FloatStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "IntStorage", "ShortStorage", "CharStorage", "ByteStorage", "BoolStorage"};
    for (int i = 0; i < storages.length; i++) {
      DataType type = DataType.values()[i];
      long n = 24 / type.bytes();
      assertEquals(type, readPickle(oneTensor(storages[i], n, 0, new long[] {n}, new long[] {1})).tensors().getFirst().type());
    }
  }

  /** Every opcode that is read; the values are those of Python's own pickle.loads. */
  static Stream<Arguments> opcodes() {
    return Stream.of(
        Arguments.of("LONG1 of no bytes", pickle().raw(0x8a, 0), "0"), Arguments.of("LONG1 of a negative byte", pickle().raw(0x8a, 1, 0xff), "-1"),
        Arguments.of("LONG1 of a byte and its sign", pickle().raw(0x8a, 2, 0xff, 0), "255"), Arguments.of("LONG1 of two bytes", pickle().raw(0x8a, 2, 0, 0x80), "-32768"),
        Arguments.of("LONG1 of eight bytes", pickle().number(Long.MIN_VALUE), "-9223372036854775808"),
        Arguments.of("FRAME, BININT1", new PickleBytes().raw(0x80, 4, 0x95, 2, 0, 0, 0, 0, 0, 0, 0, 'K', 255), "255"),
        Arguments.of("protocol 5, BININT2", new PickleBytes().raw(0x80, 5, 'M', 0xfe, 0xff), "65534"), Arguments.of("BININT", pickle().number(-2), "-2"),
        Arguments.of("BINFLOAT", pickle().real(-1.5), "-1.5"), Arguments.of("BINUNICODE", pickle().text("\u00e9"), "\u00e9"),
        Arguments.of("SHORT_BINUNICODE", pickle().raw(0x8c, 2, 0xc3, 0xa9), "\u00e9"),
        Arguments.of("BINUNICODE8", pickle().raw(0x8d, 2, 0, 0, 0, 0, 0, 0, 0, 'a', 'b'), "ab"), Arguments.of("LIST", pickle().ops("(K\1K\2l"), "[1, 2]"),
        Arguments.of("APPENDS", pickle().ops("](K\1K\2e"), "[1, 2]"), Arguments.of("APPEND", pickle().ops("]K\1a"), "[1]"), Arguments.of("TUPLE", pickle().ops("(K\1K\2t"), "(1, 2)"),
        Arguments.of("TUPLE1, TUPLE2", pickle().ops("K\1").raw(0x85).ops("K\2").raw(0x86), "((1), 2)"),
        Arguments.of("TUPLE3", pickle().ops("K\1K\2K\3").raw(0x87), "(1, 2, 3)"), Arguments.of("POP", pickle().ops("NK\0010"), "None"),
        Arguments.of("POP_MARK", pickle().ops("N(K\1K\0021"), "None"), Arguments.of("BINPUT, BINGET", pickle().ops("K\7q\3h\3").raw(0x86), "(7, 7)"),
        Arguments.of("LONG_BINPUT, LONG_BINGET", pickle().ops("K\7r").little(256).ops("j").little(256).raw(0x86), "(7, 7)"),
        Arguments.of("MEMOIZE", pickle().ops("K\7").raw(0x94).ops("K\10").raw(0x94).ops("h\0h\1").raw(0x86, 0x87), "(7, 8, (7, 8))"),
        Arguments.of("NEWTRUE, NEWFALSE", pickle().raw(0x88, 0x89, 0x86), "(true, false)"), Arguments.of("SHORT_BINBYTES", pickle().raw('C', 2, 0, 0xff), "00ff"),
        Arguments.of("BINBYTES", pickle().raw('B', 1, 0, 0, 0, 0xfe), "fe"), Arguments.of("BINBYTES8", pickle().raw(0x8e, 1, 0, 0, 0, 0, 0, 0, 0, 0xfd), "fd"),
        Arguments.of("SHORT_BINSTRING", pickle().raw('U', 1, 0xfc), "fc"), Arguments.of("BINSTRING", pickle().raw('T', 1, 0, 0, 0, 0xfb), "fb"),
        Arguments.of("STACK_GLOBAL, REDUCE, SETITEM", pickle().text("collections").text("OrderedDict").raw(0x93).ops(")RK\1K\2s"), "{1=2}"),
        Arguments.of("torch.Size, REDUCE", pickle().global("torch", "Size").ops("((K\2K\3ttR"), "(2, 3)"),
        Arguments.of("SETITEMS, BUILD", pickle().global("collections", "OrderedDict").ops(")R(K\1K\2K\3K\4u}b"), "{1=2, 3=4}"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("opcodes")
  void everyOpcodeGivesItsValue(String what, PickleBytes pickle, String value) throws Exception {
    assertEquals(value, shown(Unpickler.read("t", ByteBuffer.wrap(pickle.stop()))));
  }

  private static String shown(Object value) {
    return switch (value) {
      case Unpickler.None _ -> "None";
      case byte[] bytes -> HexFormat.of().formatHex(bytes);
      case Unpickler.Items items -> items.values.stream().map(TorchCheckpointTest::shown).collect(Collectors.joining(", ", items.tuple ? "(" : "[", items.tuple ? ")" : "]"));
      case Unpickler.Dict dict -> dict.values.toString();
      default -> value.toString();
    };
  }

  static Stream<Arguments> hostilePickles() {
    long[] one = {1};
    return Stream.of(
        Arguments.of("os.system", pickle().global("os", "system").ops("(").text("id").ops("tR").stop(), "global os.system is not allowed"),
        Arguments.of("posix.system by STACK_GLOBAL", pickle().text("posix").text("system").raw(0x93).stop(), "global posix.system is not allowed"),
        Arguments.of("eval", pickle().global("builtins", "eval").stop(), "global builtins.eval is not allowed"),
        Arguments.of("a dotted walk", pickle().global("collections", "OrderedDict.__init__").stop(), "global collections.OrderedDict.__init__"),
        Arguments.of("INST", pickle().ops("(ios\nsystem\n").stop(), "opcode 0x69 'i'"),
        Arguments.of("OBJ", pickle().ops("(o").stop(), "opcode 0x6f 'o'"),
        Arguments.of("NEWOBJ", pickle().global("collections", "OrderedDict").ops(")").raw(0x81).stop(), "opcode 0x81"),
        Arguments.of("EXT1", pickle().raw(0x82, 1).stop(), "opcode 0x82"),
        Arguments.of("PERSID as text", pickle().ops("Px\n").stop(), "opcode 0x50"),
        Arguments.of("REDUCE of a string", pickle().text("x").ops(")R").stop(), "REDUCE calls a String"),
        Arguments.of("REDUCE of a storage type", pickle().global("torch", "FloatStorage").ops(")R").stop(), "REDUCE of torch.FloatStorage"),
        Arguments.of("REDUCE without a tuple", pickle().global("collections", "OrderedDict").ops("]R").stop(), "without a tuple"),
        Arguments.of("many dicts from one list", pickle().global("collections", "OrderedDict").ops("]").raw(0x85).ops("R").stop(), "OrderedDict with arguments"),
        Arguments.of("torch.Size of nothing", pickle().global("torch", "Size").ops(")R").stop(), "torch.Size needs one tuple"),
        Arguments.of("torch.Size of a string", pickle().global("torch", "Size").text("x").raw(0x85).ops("R").stop(), "torch.Size needs one tuple"),
        Arguments.of("BUILD with what is no dict", pickle().global("collections", "OrderedDict").ops(")RNb").stop(), "BUILD of a dict"),
        Arguments.of("BUILD of a tensor", pickle().tensor("FloatStorage", "0", 6, 0, one, one).ops("}b").stop(), "BUILD of a tensor"),
        Arguments.of("BUILD of a global", pickle().global("collections", "OrderedDict").ops("}b").stop(), "BUILD of global"),
        Arguments.of("memo out of range", pickle().ops("h").raw(3).stop(), "memo 3 was never stored"),
        Arguments.of("a negative memo", pickle().ops("}r").little(-1).stop(), "memo 4294967295"),
        Arguments.of("a stack underflow", pickle().ops("0").stop(), "stack is empty"),
        Arguments.of("a tuple of too few", pickle().ops("N").raw(0x87).stop(), "stack is empty"),
        Arguments.of("a mark that is missing", pickle().ops("t").stop(), "a mark is missing"),
        Arguments.of("a pop below the mark", pickle().ops("N(0").stop(), "stack is empty"),
        Arguments.of("a stop with nothing", pickle().stop(), "STOP finds 0"),
        Arguments.of("a stop with two values", pickle().ops("NN").stop(), "STOP finds 2"),
        Arguments.of("a stop with an open mark", pickle().ops("N(").stop(), "STOP finds 1"),
        Arguments.of("bytes after the stop", pickle().ops("N.N").stop(), "follow STOP"),
        Arguments.of("marks nested too deep", pickle().ops("(".repeat(100_000)).stop(), "nesting is deeper"),
        Arguments.of("a stack too high", pickle().ops("N".repeat(100_001)).stop(), "values on the stack"),
        Arguments.of("a string longer than the file", pickle().ops("X").little(-1).stop(), "cut short"),
        Arguments.of("a long string", pickle().raw(0x8d, 0, 0, 0, 0, 0, 0, 0, 0x80).stop(), "cut short"),
        Arguments.of("a global without an end", pickle().ops("cos").stop(), "cut short"),
        Arguments.of("no stop", new byte[] {(byte) 0x80, 2, 'N'}, "cut short"),
        Arguments.of("protocol 6", new byte[] {(byte) 0x80, 6, 'N', '.'}, "protocol 6"),
        Arguments.of("not UTF-8", pickle().raw('X', 1, 0, 0, 0, 0xFF).stop(), "not valid UTF-8"),
        Arguments.of("a huge whole number", pickle().raw(0x8a, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1).stop(), "has 9 bytes"),
        Arguments.of("a list as a key", pickle().ops("}]Ns").stop(), "dict key is a list"),
        Arguments.of("a key twice", pickle().ops("}(").text("a").ops("N").text("a").ops("Nu").stop(), "a appears twice"),
        Arguments.of("an odd number of items", pickle().ops("}(Nu").stop(), "odd number"),
        Arguments.of("a global as a value", pickle().ops("}").text("a").global("torch", "FloatStorage").ops("s").stop(), "used as a value"),
        Arguments.of("append to a tuple", pickle().ops(")Na").stop(), "APPEND to a tuple"),
        Arguments.of("a wrong persistent id", pickle().text("storage").ops("Q").stop(), "persistent id"),
        Arguments.of("no dict", pickle().ops("N").stop(), "holds no dict"),
        Arguments.of("no tensor", pickle().ops("}").text("a").number(1).ops("s").stop(), "keys are a"),
        Arguments.of("a number as a tensor's key", pickle().ops("}").number(1).tensor("FloatStorage", "0", 6, 0, one, one).ops("s").stop(), "a tensor has the key 1"),
        Arguments.of("a tensor without a name", pickle().ops("}").text("").tensor("FloatStorage", "0", 6, 0, one, one).ops("s").stop(), "a tensor name is empty"),
        Arguments.of("the negative of what is stored", flagged("}\u008c\3neg\u0088s"), "negative or conjugate"),
        Arguments.of("nine arguments", flagged("NNN"), "_rebuild_tensor_v2 needs"),
        Arguments.of("an empty tensor past the storage", oneTensor("FloatStorage", 6, 7, new long[] {4, 0}, new long[] {9, 9}), "leaves its storage"),
        Arguments.of("an index past the storage", oneTensor("FloatStorage", 6, 1, new long[] {6}, one), "leaves its storage"),
        Arguments.of("a stride past the storage", oneTensor("FloatStorage", 6, 0, new long[] {2}, new long[] {6}), "leaves its storage"),
        Arguments.of("a negative offset", oneTensor("FloatStorage", 6, -1, one, one), "leaves its storage"),
        Arguments.of("a stride that wraps", oneTensor("FloatStorage", 6, 0, new long[] {3}, new long[] {1L << 63 >>> 1}), "overflows"),
        Arguments.of("a negative stride", oneTensor("FloatStorage", 6, 5, new long[] {2}, new long[] {-1}), "stride is not"),
        Arguments.of("a negative size", oneTensor("FloatStorage", 6, 0, new long[] {-1}, one), "size is not"),
        Arguments.of("a size over 2^31", oneTensor("FloatStorage", 6, 0, new long[] {1L << 32}, new long[] {0}), "size is not"),
        Arguments.of("strides of another rank", oneTensor("FloatStorage", 6, 0, new long[] {1, 1}, one), "2 sizes and 1 strides"),
        Arguments.of("an expanded bomb", oneTensor("FloatStorage", 6, 0, new long[] {1 << 30}, new long[] {0}), "more than the"),
        Arguments.of("an expanded product that overflows", oneTensor("FloatStorage", 6, 0, new long[] {1 << 30, 1 << 30, 1 << 30}, new long[] {0, 0, 0}), "overflows"),
        Arguments.of("a storage longer than its entry", oneTensor("FloatStorage", 7, 0, one, one), "has 24 bytes; 7 elements"),
        Arguments.of("a storage whose bytes wrap", oneTensor("FloatStorage", (1L << 62) + 6, 0, one, one), "has 24 bytes"),
        Arguments.of("a storage of complex numbers", oneTensor("ComplexFloatStorage", 3, 0, one, one), "torch.ComplexFloatStorage is not allowed"),
        Arguments.of("a storage that is not there",
            pickle().ops("}").text("w").tensor("FloatStorage", "../data.pkl", 6, 0, one, one).ops("s").stop(), "archive/data/../data.pkl is missing"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("hostilePickles")
  void hostilePicklesAreRefusedInWords(String what, byte[] pickle, String words) throws Exception {
    String message = assertThrows(CheckpointException.class, () -> readPickle(pickle)).getMessage();
    assertTrue(message.contains(words), message);
    assertTrue(message.startsWith("t") && message.length() < 500, message);
  }

  @Test
  void containersNestedWithoutMarksAreReadWithoutRecursion() throws Exception {
    PickleBytes deep = pickle().ops("}").text("w").tensor("FloatStorage", "0", 6, 0, new long[] {6}, new long[] {1}).ops("s").text("deep").ops("]".repeat(50_000)).ops("a".repeat(49_999)).ops("s");
    assertEquals(List.of("deep"), readPickle(deep.stop()).skipped());
  }

  @Test
  void manyViewsOfOneStorageAreBoundedTogether() {
    PickleBytes many = pickle().ops("}(");
    for (int i = 0; i < 40; i++) many.text("w" + i).tensor("FloatStorage", "0", 6, 0, new long[] {250_000}, new long[] {0});
    byte[] bytes = many.ops("u").stop();
    assertTrue(assertThrows(CheckpointException.class, () -> readPickle(bytes)).getMessage().contains("with tensor w16"));
  }

  private static final byte[] GOOD = oneTensor("FloatStorage", 6, 0, new long[] {6}, new long[] {1});

  @Test
  void deflatedEntriesAreReadAndBombsAreNot() throws Exception {
    assertArrayEquals(new float[] {0, 1, 2, 3, 4, 5}, read(zip(true, "a/data.pkl", GOOD, "a/data/0", SIX)).tensors().getFirst().floats());
    assertTrue(refusal(zip(true, "a/data.pkl", GOOD, "a/data/0", SIX, "a/data/1", new byte[32 << 20])).contains("unpack to"));
  }

  @Test
  void anEntryThatUnpacksToMoreOrLessThanItDeclaresIsRefused() throws Exception {
    for (int declared : new int[] {23, 25, 5_000_000}) {
      byte[] bytes = zip(true, "a/data.pkl", GOOD, "a/data/0", SIX);
      int entry = lastDirectoryEntry(bytes);
      ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putInt(entry + 24, declared);
      assertTrue(refusal(bytes).contains("a/data/0 does not unpack to the " + declared), refusal(bytes));
    }
    byte[] bytes = zip(true, "a/data.pkl", GOOD, "a/data/0", SIX);
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putInt(lastDirectoryEntry(bytes) + 24, -1);
    assertTrue(refusal(bytes).contains("declares 4294967295 bytes"));
  }

  /** What is stored may be as large as it is; only what is packed or expanded counts against the size of the file. */
  @Test
  void aCheckpointOfManyMegabytesIsRead() throws Exception {
    long n = 5 << 20;
    byte[] storage = new byte[20 << 20];
    storage[storage.length - 1] = 0x40;
    NamedTensor tensor = read(zip(false, "a/data.pkl", oneTensor("FloatStorage", n, 0, new long[] {n}, new long[] {1}), "a/data/0", storage)).tensors().getFirst();
    assertEquals(2, tensor.floats()[(int) n - 1]);
  }

  @Test
  void aCommentBehindTheDirectoryIsSkipped() throws Exception {
    byte[] good = zip(false, "a/data.pkl", GOOD, "a/data/0", SIX);
    byte[] comment = Arrays.copyOfRange(good, good.length - 22, good.length), bytes = Arrays.copyOf(good, good.length + 30);
    System.arraycopy(comment, 0, bytes, good.length + 3, 22);
    bytes[good.length - 2] = 30;
    assertEquals(read(good), read(bytes));
  }

  @Test
  void entriesThatTheDirectoryDoesNotCountAreRefused() throws Exception {
    byte[] bytes = zip(false, "a/data.pkl", GOOD, "a/data/0", SIX, "a/data/1", SIX);
    bytes[bytes.length - 14] = bytes[bytes.length - 12] = 2;
    assertTrue(refusal(bytes).contains("holds more than its 2 entries"), refusal(bytes));
  }

  @Test
  void entriesThatAreNotAsTheDirectorySaysAreRefused() throws Exception {
    byte[] good = zip(false, "a/data.pkl", GOOD, "a/data/0", SIX, "a/data/1", SIX);
    int entry = lastDirectoryEntry(good);
    Map<String, int[]> changes = Map.of("is encrypted", new int[] {8, 1}, "uses compression method 12", new int[] {10, 12}, "has another name or method", new int[] {10, 8},
        "is stored with 24 bytes and declares 23", new int[] {24, 23}, "has no header at byte", new int[] {42, 1});
    changes.forEach((words, change) -> {
      byte[] bytes = good.clone();
      bytes[entry + change[0]] = (byte) change[1];
      assertTrue(refusal(bytes).contains("a/data/1 " + words), refusal(bytes));
    });
    int length = good.length - 22 - entry;
    byte[] swapped = good.clone();
    System.arraycopy(good, entry, swapped, entry - length, length);
    System.arraycopy(good, entry - length, swapped, entry, length);
    assertEquals(read(good), read(swapped), "the order in the directory need not be that of the contents");
  }

  @Test
  void namesOfEntriesAreShortAndPlain() throws Exception {
    assertTrue(refusal(zip(false, "a/data.pkl", GOOD, "", SIX)).contains("entry name has 0 bytes"));
    assertTrue(refusal(zip(false, "a/data.pkl", GOOD, "a".repeat(1025), SIX)).contains("entry name has 1025 bytes"));
    assertTrue(refusal(zip(false, "a/data.pkl", GOOD, "a\u001b[2J", SIX)).contains("a control character in its name"));
    assertEquals(1, read(zip(false, "a/data.pkl", GOOD, "a/data/0", SIX, "a".repeat(1024), SIX)).tensors().size());
  }

  private static int lastDirectoryEntry(byte[] bytes) {
    for (int i = bytes.length - 4; ; i--) {
      if (bytes[i] == 'P' && bytes[i + 1] == 'K' && bytes[i + 2] == 1 && bytes[i + 3] == 2) return i;
    }
  }

  @Test
  void aNameThatAppearsTwiceIsRefused() throws Exception {
    byte[] bytes = zip(false, "a/data.pkl", GOOD, "a/data/0", SIX, "a/data/1", SIX);
    String text = new String(bytes, StandardCharsets.ISO_8859_1).replace("a/data/1", "a/data/0");
    assertTrue(refusal(text.getBytes(StandardCharsets.ISO_8859_1)).contains("a/data/0 appears twice"));
  }

  /** A small entry whose header and content lie inside a large one. */
  @Test
  void entriesThatShareBytesAreRefused() throws Exception {
    byte[] inner = zip(false, "b", SIX);
    byte[] outer = zip(false, "a", inner);
    int end = outer.length - 22;
    int innerEntry = lastDirectoryEntry(inner);
    byte[] hidden = Arrays.copyOfRange(inner, innerEntry, inner.length - 22);
    ByteBuffer.wrap(hidden).order(ByteOrder.LITTLE_ENDIAN).putInt(42, 30 + 1);
    ByteBuffer both = ByteBuffer.allocate(outer.length + hidden.length).order(ByteOrder.LITTLE_ENDIAN);
    both.put(outer, 0, end).put(hidden).put(outer, end, 22);
    int newEnd = end + hidden.length;
    both.putShort(newEnd + 8, (short) 2).putShort(newEnd + 10, (short) 2).putInt(newEnd + 12, both.getInt(newEnd + 12) + hidden.length);
    assertTrue(refusal(both.array()).contains("b overlaps the one before it"), refusal(both.array()));
  }

  @Test
  void archivesInArchivesAndTwoPicklesAreRefused() throws Exception {
    byte[] inner = zip(false, "a/data.pkl", GOOD, "a/data/0", SIX);
    assertTrue(refusal(zip(false, "a/data.pkl", inner)).contains("is itself a zip archive"));
    byte[] storage = Arrays.copyOf(inner, 24);
    assertTrue(refusal(zip(false, "a/data.pkl", GOOD, "a/data/0", storage)).contains("is itself a zip archive"));
    assertTrue(refusal(zip(false, "a/data.pkl", GOOD, "b/data.pkl", GOOD)).contains("two pickles"));
    assertTrue(refusal(zip(false, "a/x", GOOD)).contains("no data.pkl"));
    assertTrue(refusal(zip(false, "a/data.pkl", GOOD, "a/constants.pkl", GOOD)).contains("TorchScript"));
    assertTrue(refusal(GOOD).contains("before 1.6"));
  }

  @Test
  void anotherByteOrderIsRefused() throws Exception {
    assertTrue(refusal(zip(false, "a/data.pkl", GOOD, "a/data/0", SIX, "a/byteorder", "big")).contains("byte order big"));
    assertEquals(1, read(zip(false, "a/data.pkl", GOOD, "a/data/0", SIX, "a/byteorder", "little")).tensors().size());
  }

  @Test
  void aPickleOverTwoMebibytesIsRefused() throws Exception {
    byte[] bytes = zip(false, "a/data.pkl", new byte[(2 << 20) + 1]);
    assertTrue(refusal(bytes).contains("the pickle has 2097153 bytes"));
  }

  /** A cut anywhere is refused; a changed byte is refused or changes nothing but fields that carry no content (times, versions). */
  @Test
  void cutsAndChangedBytesNeverGiveOtherValues() throws Exception {
    byte[] good = zip(false, "a/data.pkl", GOOD, "a/data/0", SIX);
    TorchCheckpoint whole = read(good);
    for (int length = 0; length < good.length; length++) refusal(Arrays.copyOf(good, length));
    int refused = 0;
    for (int bit = 0; bit < 8 * good.length; bit++) {
      byte[] bad = good.clone();
      bad[bit / 8] ^= (byte) (1 << bit % 8);
      try {
        assertEquals(whole, read(bad));
      } catch (CheckpointException e) {
        assertFalse(e.getMessage().isEmpty());
        refused++;
      }
    }
    assertTrue(refused > 8 * (GOOD.length + SIX.length), refused + " refused");
  }
}
