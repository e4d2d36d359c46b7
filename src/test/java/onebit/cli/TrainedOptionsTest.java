package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import onebit.binarize.BiPer;
import onebit.binarize.Binarizer;
import onebit.binarize.BinaryActivations;
import onebit.binarize.BinaryWeights;
import onebit.binarize.Method;
import onebit.binarize.SignWeights;
import onebit.binarize.Surrogates;
import onebit.checkpoint.NamedTensor;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.Recipe;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** Networks as trained weights are evaluated. */
class TrainedOptionsTest {
  /** Signs of a sine whose frequency grows from epoch to epoch, so that the bits of the same weights are others. */
  private record Waves() implements Method {
    @Override
    public BinaryWeights weights() {
      return new SignWeights(SignWeights.Scale.MEAN_ABSOLUTE);
    }

    @Override
    public BinaryActivations activations() {
      return new BinaryActivations.Sign();
    }

    @Override
    public Surrogates at(int epoch, int epochs) {
      return new Surrogates(new BiPer.SineSign(5 + 10 * epoch), new Binarizer.Identity(), Map.of());
    }
  }

  private static float[] logits(Backend backend, Model model, float[] values) {
    Tensor x = backend.create(model.input());
    backend.write(x, values);
    return backend.read(model.forward(x, false));
  }

  @Test
  void bitsAreThoseOfTheLastEpoch() throws Exception {
    Recipe of = Workplace.RECIPES.load("default", List.of("network.width=8", "train.epochs=3"));
    Recipe recipe = new Recipe(of.description(), new Waves(), of.network(), of.data(), of.optimizer(), of.schedule(), of.train(), of.teacher(), of.checkpoint(), of.dist(), of.published());
    float[] values = new float[2 * 28 * 28];
    Random random = new Random(1);
    for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
    try (Backend backend = new CpuBackend()) {
      Model trained = new Model(recipe.network(), recipe.method(), Shape.image(2, 28, 28, 1), 10, backend, 1);
      List<NamedTensor> tensors = trained.save();
      trained.use(recipe.method().at(2, 3));
      float[] wanted = logits(backend, trained, values);
      Model judged = CommandLine.populateCommand(new TrainedOptions(), "--weights", "of-a-run").model(recipe, 2, backend, tensors);
      assertArrayEquals(wanted, logits(backend, judged, values));
      judged.use(recipe.method().at(0, 1));
      assertFalse(Arrays.equals(wanted, logits(backend, judged, values)));
    }
  }
}
