package onebit.checkpoint;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/**
 * The content of a safetensors file: string metadata and tensors in the order of the header.
 *
 * <pre>
 * file   = N header data              N = u64 little-endian, at most 100,000,000
 * header = JSON of N bytes            first byte '{', padded with spaces so that data starts at a multiple of 8
 * entry  = "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}
 * data   = tensors without hole or overlap, from 0 to the end of the file
 * </pre>
 */
public record Safetensors(Map<String, String> metadata, SequencedMap<String, NamedTensor> tensors) {
  private static final JsonFactory JSON = new JsonFactory();

  public Safetensors {
    metadata = Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
    tensors = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(tensors));
  }

  /** @throws CheckpointException when the file is missing or breaks a rule of the format */
  public static Safetensors read(Path path) throws IOException {
    try (FileChannel channel = DurableFiles.open(path)) {
      ByteBuffer prefix = ByteBuffer.allocate(8);
      while (prefix.hasRemaining() && channel.read(prefix, prefix.position()) >= 0) { }
      SafetensorsHeader.length(path.toString(), prefix.flip(), channel.size());
      return read(path.toString(), DurableFiles.read(path, channel));
    }
  }

  /** Reads a file held in memory; the tensors share its bytes. The label names it in messages. */
  public static Safetensors read(String label, ByteBuffer file) throws CheckpointException {
    return SafetensorsHeader.parse(label, file);
  }

  /** @throws CheckpointException when there is no such tensor */
  public NamedTensor tensor(String name) throws CheckpointException {
    NamedTensor tensor = tensors.get(name);
    if (tensor == null) throw new CheckpointException("tensor " + name + " is missing; the file has " + tensors.size() + " others");
    return tensor;
  }

  /**
   * Replaces the file in one durable step; tensors lie in it in the order given.
   *
   * @throws IllegalArgumentException when two tensors have the same name
   */
  public static void write(Path path, Map<String, String> metadata, Collection<NamedTensor> tensors) throws IOException {
    DurableFiles.replace(path, encode(metadata, tensors));
  }

  /** The bytes of the file in pieces: the header, then each tensor. */
  static List<ByteBuffer> encode(Map<String, String> metadata, Collection<NamedTensor> tensors) {
    ByteArrayOutputStream header = new ByteArrayOutputStream();
    List<ByteBuffer> parts = new ArrayList<>();
    Set<String> names = new HashSet<>();
    try (JsonGenerator json = JSON.createGenerator(ObjectWriteContext.empty(), header)) {
      json.writeStartObject();
      if (!metadata.isEmpty()) {
        json.writeObjectPropertyStart("__metadata__");
        metadata.forEach(json::writeStringProperty);
        json.writeEndObject();
      }
      long begin = 0;
      for (NamedTensor tensor : tensors) {
        if (!names.add(tensor.name())) throw new IllegalArgumentException("tensor " + tensor.name() + " is given twice; names must differ");
        ByteBuffer data = tensor.data();
        long end = begin + data.remaining();
        json.writeObjectPropertyStart(tensor.name());
        json.writeStringProperty("dtype", tensor.type().name());
        json.writeName("shape");
        json.writeArray(tensor.shape(), 0, tensor.shape().length);
        json.writeName("data_offsets");
        json.writeArray(new long[] {begin, end}, 0, 2);
        json.writeEndObject();
        parts.add(data);
        begin = end;
      }
      json.writeEndObject();
    }
    while (header.size() % 8 != 0) header.write(' ');
    if (header.size() > SafetensorsHeader.MAX_BYTES) {
      throw new IllegalArgumentException("the safetensors header has " + header.size() + " bytes; at most " + SafetensorsHeader.MAX_BYTES + " are allowed");
    }
    ByteBuffer head = ByteBuffer.allocate(8 + header.size()).order(ByteOrder.LITTLE_ENDIAN);
    head.putLong(header.size()).put(header.toByteArray()).flip();
    parts.addFirst(head);
    return parts;
  }
}
