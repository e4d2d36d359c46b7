package onebit.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The state dictionary of a PyTorch zip checkpoint (.th, .pt, .pth), read without executing its pickle.
 *
 * <pre>
 * tensors   of the dict under "state_dict", else of the top level, in file order; "module." is taken off when every name has it
 * metadata  top-level scalars and one-element tensors beside the state dict ("epoch", "best_prec1") as text
 * skipped   keys whose values are neither (optimizer, scheduler)
 * Source    PyTorch torch/serialization.py (archive layout, persistent ids)
 * </pre>
 */
public record TorchCheckpoint(List<NamedTensor> tensors, Map<String, String> metadata, List<String> skipped) {
  private static final long FREE_BYTES = 16L << 20;
  private static final int MAX_GROWTH = 4;
  private static final String PREFIX = "module.";

  public TorchCheckpoint {
    tensors = List.copyOf(tensors);
    metadata = Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
    skipped = List.copyOf(skipped);
  }

  /** Where the bytes of a storage come from. */
  @FunctionalInterface
  interface StorageSource {
    ByteBuffer read(String key) throws CheckpointException;
  }

  /** @throws CheckpointException when the file is missing, damaged, or holds anything but plain tensors, containers and scalars */
  public static TorchCheckpoint read(Path path) throws IOException {
    return read(path.toString(), DurableFiles.read(path));
  }

  /** Reads a checkpoint held in memory; contiguous tensors share its bytes. The label names it in messages. */
  public static TorchCheckpoint read(String label, ByteBuffer file) throws CheckpointException {
    if (file.remaining() > 1 && file.get(file.position()) == (byte) 0x80) {
      throw new CheckpointException(label + " is in PyTorch's format from before 1.6; load it in PyTorch and save it again"
          + " (torchvision has done so with its own: resnet34-b627a593.pth holds what resnet34-333f7ec4.pth did, resnet18-f37072fd.pth what resnet18-5c106cde.pth did)");
    }
    ZipArchive zip = new ZipArchive(label, file);
    String folder = null;
    for (String name : zip.names()) {
      if (name.endsWith("/constants.pkl")) throw new CheckpointException(label + " is a TorchScript archive; a state dict saved by torch.save is wanted here");
      if (!name.endsWith("/data.pkl")) continue;
      if (folder != null) throw new CheckpointException(label + " has two pickles: " + folder + "data.pkl and " + name);
      folder = name.substring(0, name.length() - "data.pkl".length());
    }
    if (folder == null) throw new CheckpointException(label + " has no data.pkl; it is not a PyTorch checkpoint");
    String base = folder;
    if (zip.names().contains(base + "byteorder")) {
      ByteBuffer order = zip.read(base + "byteorder");
      String text = StandardCharsets.ISO_8859_1.decode(order.slice(0, Math.min(80, order.remaining()))).toString();
      if (!text.equals("little")) throw new CheckpointException(label + " has byte order " + NamedTensor.excerpt(text) + "; little is supported");
    }
    if (zip.size(base + "data.pkl") > Unpickler.MAX_BYTES) {
      throw new CheckpointException(label + ": the pickle has " + zip.size(base + "data.pkl") + " bytes; at most " + Unpickler.MAX_BYTES + " are allowed");
    }
    return read(label, zip.read(base + "data.pkl"), key -> zip.read(base + "data/" + key), FREE_BYTES + (long) MAX_GROWTH * file.remaining());
  }

  /** Reads the pickle of a checkpoint; all tensors together may have so many bytes. */
  static TorchCheckpoint read(String label, ByteBuffer pickle, StorageSource storages, long mostBytes) throws CheckpointException {
    if (!(Unpickler.read(label, pickle) instanceof Unpickler.Dict root)) throw new CheckpointException(label + " holds no dict; a state dict is wanted here");
    Object nested = root.values.get("state_dict");
    Unpickler.Dict states = nested instanceof Unpickler.Dict dict ? dict : root;
    Map<String, String> metadata = new LinkedHashMap<>();
    List<String> skipped = new ArrayList<>();
    Gatherer gatherer = new Gatherer(label, storages, mostBytes);
    List<NamedTensor> tensors = new ArrayList<>();
    for (Map.Entry<Object, Object> entry : states.values.entrySet()) {
      String key = entry.getKey().toString();
      if (entry.getValue() instanceof Unpickler.View view) {
        if (!(entry.getKey() instanceof String)) throw new CheckpointException(label + ": a tensor has the key " + key + "; a name is needed");
        tensors.add(gatherer.gather(key, view));
      } else {
        describe(key, entry.getValue(), metadata, skipped);
      }
    }
    if (tensors.isEmpty()) throw new CheckpointException(label + " has no tensors in its state dict; its keys are " + some(states));
    if (states != root) {
      for (Map.Entry<Object, Object> entry : root.values.entrySet()) {
        String key = entry.getKey().toString();
        if (entry.getValue() == states) continue;
        Object value = entry.getValue();
        if (value instanceof Unpickler.View view && view.shape().length <= 1) {
          NamedTensor tensor = gatherer.gather(key, view);
          value = tensor.elements() == 1 ? scalar(tensor) : value;
        }
        describe(key, value, metadata, skipped);
      }
    }
    if (tensors.stream().allMatch(t -> t.name().startsWith(PREFIX) && t.name().length() > PREFIX.length())) {
      tensors.replaceAll(t -> t.withName(t.name().substring(PREFIX.length())));
    }
    return new TorchCheckpoint(tensors, metadata, skipped);
  }

  private static void describe(String key, Object value, Map<String, String> metadata, List<String> skipped) {
    switch (value) {
      case String text when text.length() <= 10_000 -> metadata.put(key, text);
      case Long number -> metadata.put(key, number.toString());
      case Double number -> metadata.put(key, number.toString());
      case Boolean flag -> metadata.put(key, flag.toString());
      default -> skipped.add(key);
    }
  }

  private static Object scalar(NamedTensor tensor) {
    return switch (tensor.type()) {
      case F64 -> tensor.data().getDouble(0);
      case F32, F16, BF16 -> Float.toString(tensor.floats()[0]);
      default -> tensor.longs()[0];
    };
  }

  private static String some(Unpickler.Dict dict) {
    List<String> keys = new ArrayList<>();
    for (Object key : dict.values.keySet()) {
      if (keys.size() == 10) break;
      keys.add(NamedTensor.excerpt(key.toString()));
    }
    return keys.isEmpty() ? "none" : String.join(", ", keys);
  }

  /** Turns views into dense tensors, reading each storage once. */
  private static final class Gatherer {
    private final String label;
    private final StorageSource source;
    private final long mostBytes;
    private final Map<String, ByteBuffer> storages = new HashMap<>();
    private long bytes;

    Gatherer(String label, StorageSource source, long mostBytes) {
      this.label = label;
      this.source = source;
      this.mostBytes = mostBytes;
    }

    NamedTensor gather(String name, Unpickler.View view) throws CheckpointException {
      String fault = NamedTensor.fault(name);
      if (fault != null) throw new CheckpointException(label + ": " + fault);
      DataType type = view.storage().type();
      long size = type.bytes(view.shape());
      bytes += Math.min(size, mostBytes + 1);
      if (bytes > mostBytes) throw new CheckpointException(label + ": with tensor " + NamedTensor.excerpt(name) + " the tensors have more than the " + mostBytes + " bytes allowed for a file of this size");
      ByteBuffer storage = storage(view.storage());
      int start = (int) (view.offset() * type.bytes());
      ByteBuffer data = isDense(view) ? storage.slice(start, (int) size) : copy(storage, view, (int) size);
      return new NamedTensor(name, type, view.shape(), data);
    }

    private ByteBuffer storage(Unpickler.Storage wanted) throws CheckpointException {
      ByteBuffer found = storages.get(wanted.key());
      if (found == null) {
        found = source.read(wanted.key()).slice();
        storages.put(wanted.key(), found);
      }
      if (wanted.elements() > found.limit() || wanted.elements() * wanted.type().bytes() != found.limit()) {
        throw new CheckpointException(label + ": storage " + NamedTensor.excerpt(wanted.key()) + " has " + found.limit() + " bytes; "
            + wanted.elements() + " elements of " + wanted.type() + " are declared");
      }
      return found;
    }

    private static boolean isDense(Unpickler.View view) {
      boolean dense = true;
      long expected = 1;
      for (int i = view.shape().length - 1; i >= 0; i--) {
        if (view.shape()[i] == 0) return true;
        dense &= view.shape()[i] == 1 || view.strides()[i] == expected;
        expected *= view.shape()[i];
      }
      return dense;
    }

    private static ByteBuffer copy(ByteBuffer storage, Unpickler.View view, int size) {
      int width = view.storage().type().bytes();
      int[] shape = view.shape();
      int[] index = new int[shape.length];
      ByteBuffer out = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
      long element = view.offset();
      for (int at = 0; at < size; at += width) {
        out.put(at, storage, (int) element * width, width);
        for (int d = shape.length - 1; d >= 0; d--) {
          element += view.strides()[d];
          if (++index[d] < shape[d]) break;
          element -= view.strides()[d] * shape[d];
          index[d] = 0;
        }
      }
      return out;
    }
  }
}
