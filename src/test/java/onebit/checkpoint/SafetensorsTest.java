package onebit.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class SafetensorsTest {
  @TempDir Path folder;

  static byte[] file(long length, byte[] header, byte[] data) {
    return ByteBuffer.allocate(8 + header.length + data.length).order(ByteOrder.LITTLE_ENDIAN).putLong(length).put(header).put(data).array();
  }

  static byte[] file(String header, int dataBytes) {
    byte[] head = header.getBytes(StandardCharsets.UTF_8);
    return file(head.length, head, new byte[dataBytes]);
  }

  private static Safetensors read(byte[] bytes) throws CheckpointException {
    return Safetensors.read("t", ByteBuffer.wrap(bytes));
  }

  private static String refusal(byte[] bytes) {
    return assertThrows(CheckpointException.class, () -> read(bytes)).getMessage();
  }

  @Test
  void handWrittenBytesGiveTheirTensors() throws Exception {
    String header = "{\"b\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[4,8]},\"__metadata__\":{\"k\":\"v\"},"
        + "\"a\":{\"data_offsets\":[0,4],\"shape\":[],\"dtype\":\"F32\"}}   ";
    byte[] head = header.getBytes(StandardCharsets.UTF_8);
    Safetensors read = read(file(head.length, head, new byte[] {0, 0, (byte) 0xC0, 0x3F, (byte) 0xFF, (byte) 0xFF, 2, 1}));
    assertEquals(List.of("b", "a"), List.copyOf(read.tensors().keySet()));
    assertEquals(Map.of("k", "v"), read.metadata());
    assertArrayEquals(new float[] {1.5f}, read.tensor("a").floats());
    assertArrayEquals(new long[] {-1, 258}, read.tensor("b").longs());
    assertThrows(CheckpointException.class, () -> read.tensor("c"));
  }

  @Test
  void everyTypeConvertsAsItsDefinitionSays() {
    assertArrayEquals(new float[] {-2f, 65504f, 0x1p-24f}, tensor(DataType.F16, 0x00, 0xC0, 0xFF, 0x7B, 0x01, 0x00).floats());
    assertArrayEquals(new float[] {-2f, 1.0078125f}, tensor(DataType.BF16, 0x00, 0xC0, 0x81, 0x3F).floats());
    assertArrayEquals(new float[] {0.1f}, tensor(DataType.F64, 0x9A, 0x99, 0x99, 0x99, 0x99, 0x99, 0xB9, 0x3F).floats());
    assertArrayEquals(new long[] {255, 0}, tensor(DataType.U8, 255, 0).longs());
    assertArrayEquals(new long[] {-1, 127}, tensor(DataType.I8, 255, 127).longs());
    assertArrayEquals(new float[] {1, 0}, tensor(DataType.BOOL, 1, 0).floats());
    assertArrayEquals(new long[] {-2147483648}, tensor(DataType.I32, 0, 0, 0, 0x80).longs());
    assertArrayEquals(new long[] {1L << 56}, tensor(DataType.I64, 0, 0, 0, 0, 0, 0, 0, 1).longs());
    for (DataType type : new DataType[] {DataType.F16, DataType.BF16}) assertThrows(IllegalArgumentException.class, () -> tensor(type, 0, 0).longs());
  }

  private static NamedTensor tensor(DataType type, int... bytes) {
    byte[] data = new byte[bytes.length];
    for (int i = 0; i < bytes.length; i++) data[i] = (byte) bytes[i];
    return new NamedTensor("t", type, new int[] {bytes.length / type.bytes()}, ByteBuffer.wrap(data));
  }

  @Test
  void whatIsWrittenIsReadBackInOrder() throws Exception {
    List<NamedTensor> tensors = List.of(
        NamedTensor.ofFloats("z", new int[] {2, 3}, new float[] {1, 2, 3, -0f, Float.NaN, Float.POSITIVE_INFINITY}),
        NamedTensor.ofLongs("scalar \"quoted\" \u00e4\ud83d\ude00", new int[0], new long[] {Long.MIN_VALUE}),
        NamedTensor.ofFloats("empty", new int[] {0, 7}, new float[0]),
        tensor(DataType.BOOL, 1, 0, 1).withName("odd"));
    Path file = folder.resolve("x.safetensors");
    Files.writeString(file, "old");
    Safetensors.write(file, Map.of("k", "line\nbreak"), tensors);
    Safetensors read = Safetensors.read(file);
    assertEquals(tensors, List.copyOf(read.tensors().values()));
    assertEquals(Map.of("k", "line\nbreak"), read.metadata());
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(file), left.toList());
    }
  }

  @Test
  void dataStartAtAMultipleOfEight() {
    for (int letters = 1; letters <= 8; letters++) {
      ByteBuffer head = Safetensors.encode(Map.of(), List.of(tensor(DataType.U8, 7).withName("a".repeat(letters)))).getFirst();
      assertEquals(0, head.remaining() % 8, letters + " letters");
      assertEquals(head.remaining() - 8, head.getLong());
    }
  }

  @Test
  void tensorsAreEqualWhereNameTypeShapeAndBytesAre() {
    NamedTensor one = NamedTensor.ofFloats("a", new int[] {2, 1}, new float[] {1, 2});
    assertEquals(one, NamedTensor.ofFloats("a", new int[] {2, 1}, new float[] {1, 2}));
    assertNotEquals(one, one.withName("b"));
    assertNotEquals(one, NamedTensor.ofFloats("a", new int[] {1, 2}, new float[] {1, 2}));
    assertNotEquals(one, NamedTensor.ofFloats("a", new int[] {2, 1}, new float[] {1, 3}));
    assertNotEquals(one, new NamedTensor("a", DataType.I32, one.shape(), one.data()));
  }

  @Test
  void namesThatAFileCannotHoldAreRefused() {
    for (String name : new String[] {"__metadata__", "\ud800", ""}) {
      assertThrows(IllegalArgumentException.class, () -> NamedTensor.ofLongs(name, new int[0], new long[1]), name);
    }
  }

  @Test
  void aFileThatCannotBeWrittenLeavesTheOldOne() throws Exception {
    Path file = folder.resolve("x.safetensors");
    Files.writeString(file, "old");
    NamedTensor one = NamedTensor.ofLongs("a", new int[0], new long[1]);
    assertThrows(IllegalArgumentException.class, () -> Safetensors.write(file, Map.of(), List.of(one, one)));
    assertEquals("old", Files.readString(file));
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 7, 100_000_001, Long.MIN_VALUE, -1, 11, Long.MAX_VALUE})
  void aHeaderLengthThatIsNotTrueIsRefused(long length) throws Exception {
    byte[] bytes = file(length, "{}        ".getBytes(StandardCharsets.UTF_8), new byte[0]);
    if (length == 7) {
      assertTrue(refusal(bytes).contains("the file has 3 bytes"));
    } else {
      assertTrue(refusal(bytes).contains("header length " + Long.toUnsignedString(length)));
      Path file = Files.write(folder.resolve("bad"), bytes);
      assertThrows(CheckpointException.class, () -> Safetensors.read(file));
    }
  }

  @Test
  void aHeaderMayHave100000000BytesAndNoMore() throws Exception {
    for (long length : new long[] {100_000_000, 100_000_001}) {
      ByteBuffer prefix = ByteBuffer.wrap(file(length, new byte[0], new byte[0]));
      if (length == 100_000_000) assertEquals(length, SafetensorsHeader.length("t", prefix, 200_000_000));
      else assertThrows(CheckpointException.class, () -> SafetensorsHeader.length("t", prefix, 200_000_000));
    }
  }

  @Test
  void aFileTooShortForALengthIsRefused() throws Exception {
    assertTrue(refusal(new byte[5]).contains("5 bytes"));
    Path file = Files.write(folder.resolve("bad"), new byte[3]);
    assertTrue(assertThrows(CheckpointException.class, () -> Safetensors.read(file)).getMessage().contains("3 bytes"));
    assertTrue(assertThrows(CheckpointException.class, () -> Safetensors.read(folder.resolve("none"))).getMessage().contains("does not exist"));
    assertTrue(assertThrows(CheckpointException.class, () -> Safetensors.read(folder)).getMessage().contains("is a folder"));
  }

  @Test
  void aFileOf2GiBIsRefused() throws Exception {
    Path file = Files.write(folder.resolve("large"), file("{}", 0));
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(1L << 31);
    }
    assertTrue(assertThrows(CheckpointException.class, () -> Safetensors.read(file)).getMessage().contains("has 2147483648 bytes"));
  }

  private static final String A = "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}";

  static Stream<Arguments> hostileHeaders() {
    return Stream.of(
        Arguments.of("a leading space", " {" + A + "}", 4, "must be '{'"),
        Arguments.of("an array", "[]", 0, "must be '{'"),
        Arguments.of("a hole", "{" + A + ",\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[5,6]}}", 6, "b begins at 5"),
        Arguments.of("a hole at the start", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "a begins at 4"),
        Arguments.of("an overlap", "{" + A + ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 6, "b begins at 2"),
        Arguments.of("the same range twice", "{" + A + ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "b begins at 0"),
        Arguments.of("bytes after the tensors", "{" + A + "}", 5, "end at 4"),
        Arguments.of("bytes missing", "{" + A + "}", 3, "end at 4"),
        Arguments.of("a name twice", "{" + A + "," + A + "}", 4, "a appears twice"),
        Arguments.of("a name twice by an escape", "{" + A + "," + A.replace("\"a\"", "\"\\u0061\"") + "}", 4, "a appears twice"),
        Arguments.of("metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "appears twice"),
        Arguments.of("a metadata key twice", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"1\"}}", 0, "appears twice"),
        Arguments.of("a number as metadata", "{\"__metadata__\":{\"k\":1}}", 0, "metadata k is a number"),
        Arguments.of("metadata that is a string", "{\"__metadata__\":\"x\"}", 0, "__metadata__ is a string"),
        Arguments.of("dtype twice", "{" + A.replace("{", "{\"dtype\":\"F32\",") + "}", 4, "dtype twice"),
        Arguments.of("shape twice", "{" + A.replace("{", "{\"shape\":[1],") + "}", 4, "shape twice"),
        Arguments.of("offsets twice", "{" + A.replace("{", "{\"data_offsets\":[0,4],") + "}", 4, "data_offsets twice"),
        Arguments.of("an unknown key", "{" + A.replace("{", "{\"x\":1,") + "}", 4, "key x"),
        Arguments.of("no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "needs dtype, shape"),
        Arguments.of("no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "needs dtype, shape"),
        Arguments.of("no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "needs dtype, shape"),
        Arguments.of("an unknown dtype", "{" + A.replace("F32", "F31") + "}", 4, "dtype F31"),
        Arguments.of("a dtype in small letters", "{" + A.replace("F32", "f32") + "}", 4, "dtype f32"),
        Arguments.of("a wrong product", "{" + A.replace("[1]", "[2]") + "}", 4, "needs 8 bytes"),
        Arguments.of("a product that overflows", "{" + A.replace("[1]", "[2147483647,2147483647,2147483647]") + "}", 4, "overflows"),
        Arguments.of("a product that wraps to 4", "{" + A.replace("[1]", "[4611686018427387905]") + "}", 4, "a size of 4611686018427387905"),
        Arguments.of("a size over 64 bits", "{" + A.replace("[1]", "[18446744073709551617]") + "}", 4, "not valid JSON"),
        Arguments.of("a size of 1,000 digits and more", "{" + A.replace("[1]", "[" + "9".repeat(5000) + "]") + "}", 4, "not valid JSON"),
        Arguments.of("a negative size", "{" + A.replace("[1]", "[-1]") + "}", 4, "whole numbers >= 0"),
        Arguments.of("a negative zero", "{" + A.replace("[0,4]", "[-0,4]") + "}", 4, "whole numbers >= 0"),
        Arguments.of("a fraction", "{" + A.replace("[1]", "[1.0]") + "}", 4, "whole numbers >= 0"),
        Arguments.of("a size as text", "{" + A.replace("[1]", "[\"1\"]") + "}", 4, "whole numbers >= 0"),
        Arguments.of("rank 33", "{" + A.replace("[1]", "[1" + ",1".repeat(32) + "]") + "}", 4, "more than 32"),
        Arguments.of("three offsets", "{" + A.replace("[0,4]", "[0,4,4]") + "}", 4, "more than 2"),
        Arguments.of("one offset", "{" + A.replace("[0,4]", "[0]") + "}", 4, "1 data_offsets"),
        Arguments.of("an end before its begin", "{" + A.replace("[0,4]", "[4,0]") + "}", 4, "before its begin"),
        Arguments.of("deep nesting", "{\"a\":" + "[".repeat(100_000) + "]".repeat(100_000) + "}", 0, "a is an array"),
        Arguments.of("deep nesting in a shape", "{" + A.replace("[1]", "[".repeat(2000) + "]".repeat(2000)) + "}", 4, "whole numbers >= 0"),
        Arguments.of("an empty name", "{" + A.replace("\"a\"", "\"\"") + "}", 4, "name is empty"),
        Arguments.of("a name of 1025 bytes", "{" + A.replace("\"a\"", "\"" + "a".repeat(1023) + "\u00e4\"") + "}", 4, "longer than 1024"),
        Arguments.of("half a character", "{" + A.replace("\"a\"", "\"\\ud800\"") + "}", 4, "surrogate"),
        Arguments.of("text after the object", "{" + A + "}{}", 4, "follows"),
        Arguments.of("a comma at the end", "{" + A + ",}", 4, "not valid JSON"),
        Arguments.of("a comment", "{/**/" + A + "}", 4, "not valid JSON"),
        Arguments.of("single quotes", "{'a':1}", 0, "not valid JSON"),
        Arguments.of("a control character", "{\"a\n\":1}", 0, "not valid JSON"),
        Arguments.of("a cut object", "{" + A, 4, "not valid JSON"),
        Arguments.of("a cut entry", "{\"a\":{\"dtype\"", 0, "not valid JSON"),
        Arguments.of("null", "{\"a\":null}", 0, "a is another JSON value"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("hostileHeaders")
  void hostileHeadersAreRefusedInWords(String what, String header, int dataBytes, String words) {
    String message = refusal(file(header, dataBytes));
    assertTrue(message.contains(words), message);
    assertTrue(message.startsWith("t: ") && message.length() < 500, message);
  }

  @Test
  void bytesThatAreNotUtf8AreRefused() {
    byte[] head = ("{" + A + "}").getBytes(StandardCharsets.UTF_8);
    for (byte[] bad : new byte[][] {{(byte) 0xFF}, {(byte) 0xC0}, {(byte) 0xED}}) {
      byte[] broken = head.clone();
      broken[2] = bad[0];
      assertTrue(refusal(file(broken.length, broken, new byte[4])).contains("UTF-8"));
    }
  }

  @Test
  void anotherEncodingIsRefused() {
    byte[] head = ("{" + A + "}").getBytes(StandardCharsets.UTF_16LE);
    assertTrue(refusal(file(head.length, head, new byte[4])).contains("not valid JSON"));
  }

  @Test
  void aNameOf1024BytesAndAnEmptyFileAreRead() throws Exception {
    assertEquals(1, read(file("{" + A.replace("\"a\"", "\"" + "a".repeat(1024) + "\"") + "}", 4)).tensors().size());
    assertEquals(0, read(file("{}", 0)).tensors().size());
  }

  @Test
  void moreThan100000TensorsAndTextsAreRefused() throws Exception {
    String tensor = "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", text = "\"\"";
    assertTrue(refusal(file(many(100_001, tensor), 0)).contains("more than 100000 tensors"));
    assertTrue(refusal(file("{\"__metadata__\":" + many(100_001, text) + "}", 0)).contains("more than 100000 metadata"));
    assertEquals(100_000, read(file(many(100_000, tensor), 0)).tensors().size());
  }

  private static String many(int count, String value) {
    return IntStream.range(0, count).mapToObj(i -> "\"" + i + "\":" + value).collect(Collectors.joining(",", "{", "}"));
  }

  /** Every recorded step: names, shapes and first and last values against a tree-model JSON reading and raw byte positions. */
  @Test
  void everyRecordedStepIsRead() throws Exception {
    Path golden = Path.of("../shared/golden");
    assumeTrue(Files.isDirectory(golden), "the recorded steps of ../shared/golden are not here");
    List<Path> files = new ArrayList<>();
    try (Stream<Path> all = Files.list(golden)) {
      all.filter(p -> p.toString().endsWith(".safetensors")).forEach(files::add);
    }
    assertTrue(files.size() >= 5);
    for (Path path : files) {
      Safetensors read = Safetensors.read(path);
      ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(path)).order(ByteOrder.LITTLE_ENDIAN);
      int start = (int) bytes.getLong(0) + 8;
      JsonNode header = JsonMapper.shared().readTree(new String(bytes.array(), 8, start - 8, StandardCharsets.UTF_8));
      assertEquals(header.size() - 1, read.tensors().size());
      assertEquals(header.get("__metadata__").size(), read.metadata().size());
      for (NamedTensor tensor : read.tensors().values()) {
        JsonNode entry = header.get(tensor.name());
        int begin = start + entry.get("data_offsets").get(0).asInt();
        int end = start + entry.get("data_offsets").get(1).asInt();
        if (tensor.type() == DataType.F32) {
          float[] values = tensor.floats();
          assertEquals(bytes.getFloat(begin), values[0]);
          assertEquals(bytes.getFloat(end - 4), values[values.length - 1]);
        } else {
          assertEquals(bytes.getLong(end - 8), tensor.longs()[tensor.elements() - 1]);
        }
      }
      ByteArrayOutputStream again = new ByteArrayOutputStream();
      for (ByteBuffer part : Safetensors.encode(read.metadata(), read.tensors().values())) {
        byte[] piece = new byte[part.remaining()];
        part.get(piece);
        again.write(piece);
      }
      assertEquals(read, read(again.toByteArray()));
    }
  }
}
