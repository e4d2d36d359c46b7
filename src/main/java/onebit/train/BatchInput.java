package onebit.train;

import com.google.common.primitives.Floats;
import onebit.data.ImageBatch;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.recipe.DataRecipe;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Brings batches of bytes onto the backend as normalised images. */
final class BatchInput {
  private final Backend backend;
  private final Inlet pixels;
  private final Tensor x;
  private final float[] mean;
  private final float[] deviation;

  BatchInput(Backend backend, DataRecipe data, int batch) {
    this.backend = backend;
    Shape shape = Shape.image(batch, data.height(), data.width(), data.channels());
    pixels = backend.inlet(shape);
    x = backend.create(shape, backend.activations());
    mean = Floats.toArray(data.mean());
    deviation = Floats.toArray(data.std());
  }

  /** The images of a batch, N,H,W,C; valid until the next call. */
  Tensor load(ImageBatch batch) {
    Tensor bytes = pixels.next(batch.pixels(), batch.count()), values = x.first(batch.count());
    backend.point().normalize(values, bytes, mean, deviation);
    return values;
  }
}
