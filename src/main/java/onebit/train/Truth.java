package onebit.train;

import java.util.random.RandomGenerator;
import onebit.data.Boxes;
import onebit.data.ImageBatch;
import onebit.recipe.Recipe;

/**
 * What is known of a batch's images: a class each, or boxes with a class each.
 *
 * <pre>
 * Shapes  labels N or more, boxes N or more, or none where the network does not detect
 * </pre>
 */
public record Truth(int[] labels, Boxes[] boxes) {
  private static final Boxes[] NONE = {};

  /** A class for each image. */
  public static Truth of(int... labels) {
    return new Truth(labels, NONE);
  }

  /** What a recipe's network could be told of so many images: each a class, or each two boxes. */
  public static Truth random(Recipe recipe, int images, RandomGenerator random) {
    int classes = recipe.data().classes();
    if (!recipe.network().detects()) return of(random.ints(images, 0, classes).toArray());
    Boxes[] all = new Boxes[images];
    for (int i = 0; i < images; i++) {
      all[i] = new Boxes().clear(recipe.data().height(), recipe.data().width());
      for (int box = 0; box < 2; box++) {
        float left = random.nextFloat(0.6f), top = random.nextFloat(0.6f);
        all[i].add(random.nextInt(classes), false, left, top, left + random.nextFloat(0.1f, 0.4f), top + random.nextFloat(0.1f, 0.4f));
      }
    }
    return new Truth(new int[images], all);
  }

  /** What a loader's batch holds, in its own buffers. */
  public static Truth of(ImageBatch batch) {
    return new Truth(batch.labels(), batch.boxes());
  }
}
