package onebit.checkpoint;

import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.util.ByteBufferBackedInputStream;

/** Reads a safetensors file by the strict rules: nothing is allocated, sliced or believed before it is checked. */
final class SafetensorsHeader {
  static final int MAX_BYTES = 100_000_000;
  static final int MAX_ENTRIES = 100_000;
  private static final JsonFactory JSON = JsonFactory.builder()
      .disable(TokenStreamFactory.Feature.CANONICALIZE_PROPERTY_NAMES)
      .build();

  private record Entry(String name, DataType type, int[] shape, long begin, long end) {}

  private final String label;
  private final JsonParser json;
  private final Map<String, String> metadata = new LinkedHashMap<>();
  private final SequencedMap<String, Entry> entries = new LinkedHashMap<>();

  private SafetensorsHeader(String label, JsonParser json) {
    this.label = label;
    this.json = json;
  }

  /** The length of the header in bytes, checked against the rule and the size of the file. */
  static int length(String label, ByteBuffer prefix, long fileBytes) throws CheckpointException {
    if (prefix.remaining() < 8) throw new CheckpointException(label + " has " + fileBytes + " bytes; a safetensors file has at least 10");
    long length = prefix.order(ByteOrder.LITTLE_ENDIAN).getLong(prefix.position());
    String found = label + ": header length " + Long.toUnsignedString(length);
    if (length < 0 || length > MAX_BYTES) throw new CheckpointException(found + " is more than the " + MAX_BYTES + " allowed, so this is no safetensors file");
    if (length > fileBytes - 8) throw new CheckpointException(found + " is more than the " + (fileBytes - 8) + " bytes that follow");
    if (length < 2) throw new CheckpointException(found + " is too short for a JSON object");
    return (int) length;
  }

  static Safetensors parse(String label, ByteBuffer file) throws CheckpointException {
    ByteBuffer all = file.slice();
    int length = length(label, all, all.remaining());
    if (all.get(8) != '{') throw new CheckpointException(label + ": the header starts with byte " + (all.get(8) & 0xFF) + "; it must be '{'");
    Reader text = new InputStreamReader(new ByteBufferBackedInputStream(all.slice(8, length)), StandardCharsets.UTF_8.newDecoder());
    try (JsonParser json = JSON.createParser(ObjectReadContext.empty(), text)) {
      SafetensorsHeader header = new SafetensorsHeader(label, json);
      header.read();
      return header.slice(all.slice(8 + length, all.remaining() - 8 - length));
    } catch (JacksonException e) {
      if (e.getCause() instanceof CharacterCodingException) throw new CheckpointException(label + ": the header is not valid UTF-8", e);
      throw new CheckpointException(label + ": the header is not valid JSON: " + NamedTensor.excerpt(e.getOriginalMessage()), e);
    }
  }

  private void read() throws CheckpointException {
    require(JsonToken.START_OBJECT, "the header");
    boolean metadataSeen = false;
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String name = json.currentName();
      if (name.equals("__metadata__")) {
        if (metadataSeen) throw refused("key __metadata__ appears twice");
        metadataSeen = true;
        readMetadata();
      } else {
        String fault = NamedTensor.fault(name);
        if (fault != null) throw refused(fault);
        if (entries.putIfAbsent(name, readEntry(name)) != null) throw refused("tensor " + NamedTensor.excerpt(name) + " appears twice");
        requireFew(entries.size(), "tensors");
      }
    }
    if (json.nextToken() != null) throw refused("something follows the JSON object");
  }

  private void readMetadata() throws CheckpointException {
    require(JsonToken.START_OBJECT, "__metadata__");
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String key = json.currentName();
      require(JsonToken.VALUE_STRING, "metadata " + NamedTensor.excerpt(key));
      if (metadata.putIfAbsent(key, json.getString()) != null) throw refused("metadata key " + NamedTensor.excerpt(key) + " appears twice");
      requireFew(metadata.size(), "metadata");
    }
  }

  private Entry readEntry(String name) throws CheckpointException {
    String what = "tensor " + NamedTensor.excerpt(name);
    require(JsonToken.START_OBJECT, what);
    DataType type = null;
    int[] shape = null;
    long[] offsets = null;
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String key = json.currentName();
      boolean twice = switch (key) {
        case "dtype" -> type != null;
        case "shape" -> shape != null;
        case "data_offsets" -> offsets != null;
        default -> throw refused(what + " has the key " + NamedTensor.excerpt(key) + "; dtype, shape and data_offsets are known");
      };
      if (twice) throw refused(what + " has the key " + key + " twice");
      switch (key) {
        case "dtype" -> type = readType(what);
        case "shape" -> shape = readShape(what);
        default -> offsets = readNumbers(what + " data_offsets", 2);
      }
    }
    if (type == null || shape == null || offsets == null) throw refused(what + " needs dtype, shape and data_offsets");
    if (offsets.length != 2) throw refused(what + " has " + offsets.length + " data_offsets; two are needed");
    if (offsets[1] < offsets[0]) throw refused(what + " ends at " + offsets[1] + ", before its begin " + offsets[0]);
    long bytes;
    try {
      bytes = type.bytes(shape);
    } catch (ArithmeticException e) {
      throw refused(what + " has shape " + Arrays.toString(shape) + "; its size overflows");
    }
    if (bytes != offsets[1] - offsets[0]) {
      throw refused(what + " " + type + Arrays.toString(shape) + " needs " + bytes + " bytes; data_offsets give " + (offsets[1] - offsets[0]));
    }
    return new Entry(name, type, shape, offsets[0], offsets[1]);
  }

  private DataType readType(String what) throws CheckpointException {
    require(JsonToken.VALUE_STRING, what + " dtype");
    String text = json.getString();
    for (DataType type : DataType.values()) {
      if (type.name().equals(text)) return type;
    }
    throw refused(what + " has dtype " + NamedTensor.excerpt(text) + "; known are " + Arrays.toString(DataType.values()));
  }

  private int[] readShape(String what) throws CheckpointException {
    long[] numbers = readNumbers(what + " shape", NamedTensor.MAX_RANK);
    int[] shape = new int[numbers.length];
    for (int i = 0; i < shape.length; i++) {
      if (numbers[i] > Integer.MAX_VALUE) throw refused(what + " has a size of " + numbers[i] + "; at most " + Integer.MAX_VALUE + " is allowed");
      shape[i] = (int) numbers[i];
    }
    return shape;
  }

  private long[] readNumbers(String what, int most) throws CheckpointException {
    require(JsonToken.START_ARRAY, what);
    long[] numbers = new long[most];
    int count = 0;
    while (json.nextToken() != JsonToken.END_ARRAY) {
      if (count == most) throw refused(what + " has more than " + most + " numbers");
      if (json.currentToken() != JsonToken.VALUE_NUMBER_INT || json.getString().startsWith("-")) {
        throw refused(what + " holds something else than whole numbers >= 0");
      }
      numbers[count++] = json.getLongValue();
    }
    return Arrays.copyOf(numbers, count);
  }

  private Safetensors slice(ByteBuffer data) throws CheckpointException {
    List<Entry> sorted = new ArrayList<>(entries.values());
    sorted.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    long next = 0;
    for (Entry entry : sorted) {
      if (entry.begin != next) {
        throw refused("tensor " + NamedTensor.excerpt(entry.name) + " begins at " + entry.begin + "; without hole or overlap it would be " + next);
      }
      next = entry.end;
    }
    if (next != data.remaining()) throw refused("the tensors end at " + next + "; the file has " + data.remaining() + " bytes of data");
    SequencedMap<String, NamedTensor> tensors = new LinkedHashMap<>();
    for (Entry e : entries.values()) {
      tensors.put(e.name, new NamedTensor(e.name, e.type, e.shape, data.slice((int) e.begin, (int) (e.end - e.begin))));
    }
    return new Safetensors(metadata, tensors);
  }

  private void require(JsonToken wanted, String what) throws CheckpointException {
    JsonToken found = json.nextToken();
    if (found != wanted) throw refused(what + " is " + (found == null ? "missing" : words(found)) + "; wanted is " + words(wanted));
  }

  private static String words(JsonToken token) {
    return switch (token) {
      case START_OBJECT -> "an object";
      case START_ARRAY -> "an array";
      case VALUE_STRING -> "a string";
      case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "a number";
      default -> "another JSON value";
    };
  }

  private void requireFew(int count, String what) throws CheckpointException {
    if (count > MAX_ENTRIES) throw refused("more than " + MAX_ENTRIES + " " + what);
  }

  private CheckpointException refused(String why) {
    return new CheckpointException(label + ": " + why);
  }
}
