package onebit.models;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.NamedTensor;
import onebit.ops.Backend;
import onebit.tensor.FileLayout;
import onebit.tensor.Parameter;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/** The tensors of a model under the names and in the shapes of its authors' state dictionary. */
final class StateDictionary {
  private static final String COUNTER = "num_batches_tracked";

  private record Slot(Tensor value, FileLayout layout, int[] fileShape) {}

  private final Backend backend;
  private final Map<String, Slot> slots = new LinkedHashMap<>();
  private final Set<String> unusedModules;

  StateDictionary(Backend backend, List<Parameter> parameters, List<StateTensor> state, Set<String> unusedModules) {
    this.backend = backend;
    this.unusedModules = unusedModules;
    for (Parameter p : parameters) slots.put(p.name(), new Slot(p.value(), p.layout(), p.fileShape()));
    for (StateTensor s : state) slots.put(s.name(), new Slot(s.value(), FileLayout.SAME, s.fileShape()));
  }

  /** Checks every tensor, then writes all; the batch counters of PyTorch's batch norms and modules that never run are left out. */
  void load(Collection<NamedTensor> tensors, String what) throws CheckpointException {
    load(tensors, name -> true, what);
  }

  private int load(Collection<NamedTensor> tensors, Predicate<String> wanted, String what) throws CheckpointException {
    Map<String, NamedTensor> found = new LinkedHashMap<>();
    for (NamedTensor tensor : tensors) {
      String name = tensor.name();
      Slot slot = slots.get(name);
      if (slot == null && isIgnored(name)) continue;
      if (slot == null) {
        throw new CheckpointException(what + ": tensor " + tensor + " has no place in this network; recipe and weights must belong together");
      }
      if (!Arrays.equals(withoutTrailingOnes(slot.fileShape), withoutTrailingOnes(tensor.shape()))) {
        throw new CheckpointException(what + ": tensor " + tensor + " must have shape " + Arrays.toString(slot.fileShape));
      }
      if (found.put(name, tensor) != null) throw new CheckpointException(what + ": tensor " + name + " is there twice");
    }
    for (String name : slots.keySet()) {
      if (wanted.test(name) && !found.containsKey(name)) {
        throw new CheckpointException(
            what + ": tensor " + name + " is missing; the network needs " + slots.size() + " tensors, " + found.size() + " fit");
      }
    }
    found.forEach((name, tensor) -> {
      Slot slot = slots.get(name);
      backend.write(slot.value, slot.layout.fromFile(tensor.floats(), slot.value.shape()));
    });
    return found.size();
  }

  /** The same of the tensors whose names begin so, or after a - do not, on both sides, and of no other; how many those are. */
  int load(Collection<NamedTensor> tensors, String part, String what) throws CheckpointException {
    boolean rest = part.startsWith("-");
    String beginning = rest ? part.substring(1) : part;
    if (tensors.stream().noneMatch(tensor -> tensor.name().startsWith(beginning))) throw new CheckpointException(what + ": no tensor's name begins with " + beginning);
    Predicate<String> wanted = name -> name.startsWith(beginning) != rest;
    return load(tensors.stream().filter(tensor -> wanted.test(tensor.name())).toList(), wanted, what);
  }

  private boolean isIgnored(String name) {
    return name.endsWith("." + COUNTER) || unusedModules.contains(name.substring(0, Math.max(0, name.indexOf('.'))));
  }

  /** A matrix stands for the filters of a 1x1 convolution, a vector for one value per filter. */
  private static int[] withoutTrailingOnes(int[] shape) {
    int rank = shape.length;
    while (rank > 0 && shape[rank - 1] == 1) rank--;
    return Arrays.copyOf(shape, rank);
  }

  /** The tensors that are saved, in their order. */
  List<Tensor> values() {
    return slots.values().stream().map(Slot::value).toList();
  }

  /** From copies of {@link #values}, in the order of memory; any thread may ask. */
  List<NamedTensor> save(List<float[]> copies) {
    List<NamedTensor> all = new ArrayList<>();
    Iterator<float[]> each = copies.iterator();
    slots.forEach((name, slot) -> all.add(NamedTensor.ofFloats(name, slot.fileShape, slot.layout.toFile(each.next(), slot.value.shape()))));
    return all;
  }
}
