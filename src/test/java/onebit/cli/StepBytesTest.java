package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import onebit.ops.Backend;
import onebit.ops.DeclaredOps;
import onebit.ops.PlanBackend;
import onebit.ops.cuda.EmulatedDevice;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.Recipe;
import onebit.recipe.TrainRecipe.Precision;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.MemoryPlan;
import onebit.train.TrainStep;
import onebit.train.Truth;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The plan's traffic of a whole step of AdaBin's ResNet-18 against the bytes that the launches of that step declare.
 *
 * <p>Plan and device run the same ops in the same order. Compared is every op that is all own kernels and takes its tensors one by one. What is left out on both sides, and
 * how the others differ:
 *
 * <ul>
 *   <li>Ops that call cuDNN or cuBLAS: products of values, and gradients at the images of binary convolutions. A library declares nothing.
 *   <li>Ops that take a table of addresses (optimizer, check, copies, all layers' weights): their launches declare nothing; the plan's bytes are compared with what the
 *       formulas of these ops read and write.
 *   <li>Filters of a product of bits: launches read copies laid out once a step, which are no tensors; the plan counts the filters' bits once for each product.
 *   <li>Values per channel, such as those of norms: the plan counts each once an op, launches declare those that they are handed, some in both launches. That is at most ten
 *       vectors an op.
 *   <li>Partial sums are scratch, which neither counts.
 * </ul>
 */
class StepBytesTest {
  private static final int SIDE = 64, BATCH = 4;
  private static final Set<String> TABLES = Set.of("sgd", "judge", "copyAll", "centreDistanceAll", "centreDistanceAllBackward");

  private static Recipe recipe(String memory) {
    return Workplace.RECIPES.load("adabin-resnet18-imagenet", List.of("data.height=" + SIDE, "data.width=" + SIDE, "data.evalResize=0", "data.evalCrop=0", "data.classes=10",
        "train.passes=fused", "train.memory=" + memory));
  }

  private static List<DeclaredOps.Call> declared(Recipe recipe) {
    try (Backend device = Workplace.open("cuda-emulated", Precision.BF16, true)) {
      EmulatedDevice.idle(true);
      DeclaredOps ops = new DeclaredOps(device);
      TrainStep step = TrainStep.of(recipe, ops.backend(), BATCH);
      Tensor x = device.create(Shape.image(BATCH, SIDE, SIDE, 3), ElementType.UINT8);
      ops.forgetCalls();
      step.gradients(x, Truth.random(recipe, BATCH, new Random(1)));
      step.update(0);
      return ops.calls();
    } finally {
      EmulatedDevice.idle(false);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"fast", "compact"})
  void thePlanCountsTheBytesThatTheLaunchesOfAStepDeclare(String memory) {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    List<PlanBackend.Call> planned = MemoryPlan.of(recipe(memory), BATCH, ElementType.BFLOAT16).calls();
    List<DeclaredOps.Call> calls = declared(recipe(memory));
    assertEquals(planned.stream().map(PlanBackend.Call::op).toList(), calls.stream().map(DeclaredOps.Call::op).toList());
    long plan = 0, launches = 0, filters = 0;
    TreeSet<String> byLibrary = new TreeSet<>();
    List<String> wrong = new ArrayList<>();
    for (int i = 0; i < calls.size(); i++) {
      DeclaredOps.Call call = calls.get(i);
      if (call.libraryCalls() > 0) {
        byLibrary.add(call.op());
      } else if (TABLES.contains(call.op())) {
        assertTrue(call.bytes() <= 64, call.op() + " declares " + call.bytes() + " bytes; compare it with the plan's");
      } else {
        long difference = call.bytes() + call.filterBytes() - planned.get(i).bytes();
        if (Math.abs(difference) > 10 * 4L * call.channels()) wrong.add(call.op() + " of " + call.channels() + " channels: " + difference + " of " + planned.get(i).bytes());
        plan += planned.get(i).bytes();
        launches += call.bytes();
        filters += call.filterBytes();
      }
    }
    System.out.println("adabin-resnet18-imagenet, " + memory + ", a step's own kernels: " + launches + " bytes declared and " + filters + " of filters, the plan has " + plan);
    assertEquals(List.of(), wrong);
    assertEquals(Set.of("conv2d", "conv2dGradW", "conv2dGradX", "linear", "linearGradW", "linearGradX", "xnorConv2dGradX"), byLibrary);
    assertEquals(launches + filters, plan, 0.005 * launches, "the step");
  }

  /** Weights, gradients and velocities are 4 bytes a value, weights as they are multiplied 2, bits an eighth. */
  @Test
  void thePlanCountsWhatTheFormulasOfOpsWithTablesReadAndWrite() {
    // 3x3 convolutions of four stages, 1x1 shortcuts, stem, linear layer; norms before and behind, two maxout slopes, a centre and a distance come on top
    long binary = 0;
    for (int stage = 0, c = 64; stage < 4; stage++, c *= 2) binary += 9L * c * c * (stage == 0 ? 4 : 3) + (stage == 0 ? 0 : 9L * c * c / 2);
    long all = binary + 64 * 128 + 128 * 256 + 256 * 512 + 147 * 64 + 10 * 512;
    List<PlanBackend.Call> plan = MemoryPlan.of(recipe("fast"), BATCH, ElementType.BFLOAT16).calls();
    assertEquals(20 * all, bytes(plan, "sgd"), 0.005 * 20 * all, "reads value, gradient and velocity, writes value and velocity");
    assertEquals(4 * all, bytes(plan, "judge"), 0.005 * 4 * all, "reads gradients");
    assertEquals((4 + 2 + 0.125) * binary, bytes(plan, "centreDistanceAll"), 0.005 * 6 * binary, "reads weights, writes what is multiplied and bits");
    assertEquals((4 + 2 + 4) * binary, bytes(plan, "centreDistanceAllBackward"), 0.005 * 10 * binary, "reads weights and gradients of what is multiplied, writes gradients");
  }

  private static long bytes(List<PlanBackend.Call> plan, String op) {
    return plan.stream().filter(call -> call.op().equals(op)).mapToLong(PlanBackend.Call::bytes).sum();
  }
}
