package onebit.train;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import onebit.data.Dataset;
import onebit.recipe.Recipe;

/** Refuses to go on with a run where what it was made with is not what is there now; the recipe itself is compared by {@link RunFolder}. */
record Continuation(Path run, RunState state) {
  /**
   * Another number of processes computes the same up to float summation where batch norm is synchronised and sees whole batches, and something else where not.
   *
   * @throws IllegalArgumentException where it would be something else
   */
  void requireSameProcesses(Recipe recipe, int now, Consumer<String> say) {
    if (state.processes == now) return;
    String made = "and the run " + run + " was made by " + state.processes + " process(es), now " + now + ": ", instead = "; go on with " + state.processes + ", or start anew with ";
    if (!recipe.dist().syncBatchNorm()) {
      throw new IllegalArgumentException("dist.syncBatchNorm is false " + made + "each would normalise with another part of the batch" + instead + "dist.syncBatchNorm=true");
    }
    if (recipe.train().gradientAccumulation() > 1) {
      throw new IllegalArgumentException("train.gradientAccumulation is " + recipe.train().gradientAccumulation() + " " + made
          + "each part of a batch would be other images, and batch norm normalises over a part" + instead + "another --out");
    }
    say.accept("The run goes on with " + now + " process(es) instead of " + state.processes + ": the same up to the order of float sums.");
  }

  /** Says where another arithmetic goes on than has computed the checkpoint, and remembers it. */
  void tellArithmetic(String now, Consumer<String> say) {
    String before = state.arithmetic;
    state.arithmetic = now;
    if (before.isEmpty() || before.equals(now)) return;
    say.accept("The checkpoint was computed by " + before + ", and " + now + " goes on: sums differ in their last bits, so the run's bits will not be those of one on either alone.");
  }

  /** @throws IllegalArgumentException if the teacher's weights are others */
  void requireSameTeacher(TeacherWeights now) {
    if (state.teacher.equals(now.sha256())) return;
    throw new IllegalArgumentException("run " + run + " learned from a teacher with " + TeacherWeights.named(state.teacher) + " so far, and "
        + now + " has " + TeacherWeights.named(now.sha256()) + "; give teacher.weights the weights it began with, or another --out to start anew");
  }

  /**
   * Remembers how many images there are, on which their order depends; says where they are as many and not the same.
   *
   * @param classesBefore the classes by name as the run knew them; none where it did not
   * @throws IllegalArgumentException if they were not as many before, or classes have other numbers
   */
  void requireSameData(Dataset train, Dataset test, List<String> classesBefore, Consumer<String> warn) {
    int before = state.dataFingerprint;
    state.dataFingerprint = 31 * train.fingerprint() + test.fingerprint();
    if (state.step > 0) {
      requireSame(train.name() + " has " + train.size() + " training images", train.size(), state.trainImages);
      requireSame(test.name() + " has " + test.size() + " test images", test.size(), state.testImages);
      String other = RunFolder.otherClass(classesBefore, RunFolder.lines(train.classNames()), train.name());
      if (other != null) throw new IllegalArgumentException("run " + run + ": " + other + " so far" + asBefore());
      if (before != 0 && state.dataFingerprint != before) {
        warn.accept("The images of " + train.name() + " are as many as before and not the same, by their " + (train.stored().isEmpty() ? "names and classes" : "places and sizes in the shards")
            + ": the run goes on with others than it began with.");
      }
    }
    state.trainImages = train.size();
    state.testImages = test.size();
  }

  /**
   * Remembers how many steps an epoch has, which a dry run cuts short.
   *
   * @throws IllegalArgumentException if it had not as many before
   */
  void requireSameSteps(int now) {
    if (state.step > 0 && state.epochSteps > 0 && state.epochSteps != now) {
      throw new IllegalArgumentException("run " + run + " makes " + state.epochSteps + " steps an epoch so far, now it would make " + now
          + "; go on with the same --dev-run and --steps, or start anew with another --out");
    }
    state.epochSteps = now;
  }

  private void requireSame(String words, int now, int before) {
    if (before > 0 && now != before) throw new IllegalArgumentException("run " + run + " has seen a set of " + before + " so far, and " + words + " now" + asBefore());
  }

  private static String asBefore() {
    return "; give it the data it began with, or start anew with another --out, from its weights with --set train.initFrom=RUN";
  }
}
