package onebit.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/**
 * One checkpoint as files: three with content and a manifest that must equal, byte for byte, the one computed from them.
 *
 * <pre>
 * weights.safetensors  optimizer.safetensors  state.json
 * manifest.json        {"format":"onebit-checkpoint-1","step":123,"files":[
 *                      {"name":"weights.safetensors","bytes":1,"sha256":"..."}, one line per file
 *                      ]}
 * </pre>
 */
final class CheckpointFolder {
  static final String WEIGHTS = "weights.safetensors";
  static final String OPTIMIZER = "optimizer.safetensors";
  static final String STATE = "state.json";
  static final String MANIFEST = "manifest.json";
  static final List<String> FILES = List.of(WEIGHTS, OPTIMIZER, STATE);

  private CheckpointFolder() {}

  /** The pieces of each content file, in the order of {@link #FILES}. */
  static SequencedMap<String, List<ByteBuffer>> encode(Checkpoint checkpoint) {
    SequencedMap<String, List<ByteBuffer>> files = new LinkedHashMap<>();
    files.put(WEIGHTS, Safetensors.encode(Map.of(), checkpoint.weights()));
    files.put(OPTIMIZER, Safetensors.encode(Map.of(), checkpoint.optimizer()));
    files.put(STATE, List.of(ByteBuffer.wrap(StateJson.write(checkpoint.state()))));
    return files;
  }

  static byte[] manifest(long step, SequencedMap<String, List<ByteBuffer>> files) {
    StringBuilder text = new StringBuilder("{\"format\":\"onebit-checkpoint-1\",\"step\":").append(step).append(",\"files\":[\n");
    files.forEach((name, parts) -> {
      MessageDigest sha = sha256();
      long bytes = 0;
      for (ByteBuffer part : parts) {
        bytes += part.remaining();
        sha.update(part.duplicate());
      }
      text.append("{\"name\":\"").append(name).append("\",\"bytes\":").append(bytes)
          .append(",\"sha256\":\"").append(HexFormat.of().formatHex(sha.digest())).append("\"}")
          .append(name.equals(FILES.getLast()) ? "\n" : ",\n");
    });
    return text.append("]}\n").toString().getBytes(StandardCharsets.UTF_8);
  }

  /**
   * The checkpoint in a folder whose name tells its step.
   *
   * @throws CheckpointException when a file is missing or the manifest does not verify
   */
  static Checkpoint read(Path folder, long step) throws IOException {
    SequencedMap<String, ByteBuffer> contents = verify(folder, step);
    Safetensors weights = Safetensors.read(folder.resolve(WEIGHTS).toString(), contents.get(WEIGHTS));
    Safetensors optimizer = Safetensors.read(folder.resolve(OPTIMIZER).toString(), contents.get(OPTIMIZER));
    Map<String, String> state = StateJson.read(folder.resolve(STATE).toString(), contents.get(STATE));
    return new Checkpoint(step, List.copyOf(weights.tensors().values()), List.copyOf(optimizer.tensors().values()), state);
  }

  /** The content files, read once and found equal to the manifest. */
  static SequencedMap<String, ByteBuffer> verify(Path folder, long step) throws IOException {
    List<String> found = lines(DurableFiles.read(folder.resolve(MANIFEST)));
    SequencedMap<String, ByteBuffer> contents = new LinkedHashMap<>();
    SequencedMap<String, List<ByteBuffer>> files = new LinkedHashMap<>();
    for (String name : FILES) {
      ByteBuffer content = DurableFiles.read(folder.resolve(name));
      contents.put(name, content);
      files.put(name, List.of(content));
    }
    List<String> expected = lines(ByteBuffer.wrap(manifest(step, files)));
    for (int i = 0; i < expected.size(); i++) {
      if (i < found.size() && expected.get(i).equals(found.get(i))) continue;
      boolean isFile = i >= 1 && i <= FILES.size();
      throw new CheckpointException(folder.getFileName() + ": " + (isFile
          ? FILES.get(i - 1) + " does not have the size and SHA-256 of its manifest"
          : "manifest.json is damaged or of another format"));
    }
    if (found.size() != expected.size()) throw new CheckpointException(folder.getFileName() + ": manifest.json is damaged: lines follow its end");
    return contents;
  }

  private static List<String> lines(ByteBuffer text) {
    return new ArrayList<>(List.of(StandardCharsets.ISO_8859_1.decode(text.duplicate()).toString().split("\n", -1)));
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
