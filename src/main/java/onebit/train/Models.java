package onebit.train;

import java.util.Optional;
import onebit.models.Execution;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.PixelScale;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.tensor.Shape;

/** Makes the network a recipe names, to be trained on images of bytes, beside its teacher where it has one. */
final class Models {
  private Models() {}

  /** For passes over so many images at most. */
  static Model of(Recipe recipe, Backend backend, int images) {
    return of(recipe, backend, images, recipe.train().execution());
  }

  static Model of(Recipe recipe, Backend backend, int images, Execution execution) {
    DataRecipe data = recipe.data();
    Optional<TeacherRun> taughtBy = TeacherRun.of(recipe);
    Model model = new Model(recipe.network(), recipe.method(), Shape.image(images, data.height(), data.width(), data.channels()), data.classes(), backend,
        recipe.train().seed(), execution, taughtBy.map(TeacherRun::network).or(recipe.teacher()::teaching));
    PixelScale scale = new PixelScale(data.mean(), data.std());
    model.takePixels(scale, taughtBy.map(TeacherRun::scale).orElse(scale));
    taughtBy.ifPresent(run -> model.teacher().use(run.recipe().lastSurrogates()));
    return model;
  }
}
