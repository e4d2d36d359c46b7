package onebit.train;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import onebit.models.Model;
import onebit.ops.PlanBackend;
import onebit.optim.Optimizer;
import onebit.recipe.Recipe;
import onebit.tensor.Arena;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;

/**
 * The device memory, the traffic and the products of one training step, told by running the step on a backend that computes nothing.
 *
 * <pre>
 * Units    bytes; traffic: what the step's ops read and write
 * Differs  the workspaces cuDNN asks for are not known before it runs, and are not in here; nor is what ops of a device keep between their launches:
 *          partial sums, of gradients of binary filters at most 64 MB, and of float8 gradients one float a position; nor is the driver's own memory
 * </pre>
 *
 * @param parts what lives within the step, by what it belongs to
 * @param arenaBytes memory of all that lives within the step, each at its planned place
 * @param residentBytes parameters, gradients, optimizer state, statistics, the batch and what ops share
 * @param teacherBytes what of residentBytes is a teacher's: its weights in float32 and as they are multiplied, its running statistics, its logits
 * @param liveBytes the most that is in use at once: no plan could need less than this
 * @param calls the step's ops in their order
 */
public record MemoryPlan(int batch, List<Part> parts, long arenaBytes, long residentBytes, long teacherBytes, long liveBytes, List<PlanBackend.Call> calls) {
  /** Rooms of one kind: how many, their bytes together, and their bytes in use when the arena is fullest. */
  public record Part(String name, int count, long bytes, long bytesAtFullest) {}

  /** The plan of a recipe, whose batches may be computed in parts, on a device with activations of that type. */
  public static MemoryPlan of(Recipe recipe, int batch, ElementType activations) {
    PlanBackend plan = new PlanBackend(activations, true);
    var data = recipe.data();
    Shape images = Shape.image(batch, data.height(), data.width(), data.channels());
    Model model = Models.of(recipe, plan, recipe.train().part(batch));
    Optimizer optimizer = Optimizers.of(recipe.optimizer(), plan, model.parameters());
    TrainStep step = TrainStep.of(recipe, plan, model, optimizer, batch);
    plan.forgetCalls();
    step.gradients(plan.inlet(images).next(new byte[0], batch), Truth.random(recipe, batch, new SplittableRandom(1)));
    step.update(0);
    plan.read(step.output());
    Arena arena = plan.arena();
    arena.plan();
    return new MemoryPlan(batch, parts(arena), arena.bytes(), plan.residentBytes(), plan.residentBytes("teacher"), arena.liveBytes(arena.fullest()), plan.calls());
  }

  private static List<Part> parts(Arena arena) {
    int fullest = arena.fullest();
    Map<String, Part> byOwner = new TreeMap<>();
    for (Arena.Room room : arena.rooms()) {
      Part part = new Part(room.owner(), 1, room.bytes(), room.livesAt(fullest) ? room.bytes() : 0);
      byOwner.merge(room.owner(), part, (a, b) -> new Part(a.name, a.count + 1, a.bytes + b.bytes, a.bytesAtFullest + b.bytesAtFullest));
    }
    return new ArrayList<>(byOwner.values());
  }

  /** All device memory that is known before the step runs. */
  public long bytes() {
    return arenaBytes + residentBytes;
  }

  /** What all ops of the step read and write. */
  public long trafficBytes() {
    return calls.stream().mapToLong(PlanBackend.Call::bytes).sum();
  }

  /** Operations of all products of values in the step, two for each multiply-accumulate; products of bits with bits are not counted. */
  public long operations() {
    return calls.stream().mapToLong(PlanBackend.Call::operations).sum();
  }

  /**
   * The least time a device could take for the step: of each op the longer of its bytes at the rate of copies and its operations at the rate of products.
   *
   * <pre>
   * Units    milliseconds; bytesPerSecond, operationsPerSecond of the device, as measured or assumed, the latter for products of float8 too
   * Source   anchors/performance.md, section 7: the floor there, but products of bits cost their bytes alone
   * </pre>
   */
  public double floorMillis(double bytesPerSecond, double operationsPerSecond) {
    return 1e3 * calls.stream().mapToDouble(call -> Math.max(call.bytes() / bytesPerSecond, call.operations() / operationsPerSecond)).sum();
  }
}
