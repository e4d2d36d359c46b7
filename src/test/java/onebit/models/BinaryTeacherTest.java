package onebit.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.SplittableRandom;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.NamedTensor;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.ops.Backend;
import onebit.ops.OnEveryPrecision;
import onebit.ops.PixelScale;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Binary networks that teach one of another method. */
class BinaryTeacherTest {
  private static final Shape IMAGES = Shape.image(4, 16, 16, 3);
  private static final int CLASSES = 5;
  private static final Method STUDENTS = new AdaBin(AdaBin.Form.CODE, true, false), CLIPPED = new BmxNet(1.3f, false, BmxNet.Scaling.NONE), REAL = new Rbnn(1, true);
  private static final Map<Network, Method> TEACHERS = Map.of(new GlyphNet(8), new Rbnn(1, false), new SmallPreNorm(8), CLIPPED, new SmallDense(), CLIPPED,
      new SmallPostNorm(8), CLIPPED, new ResNet20BiReal(), REAL, new ResNet20(), new BiPer(1, 20, 0.0468f), new GlyphNet(4), new AdaBin(AdaBin.Form.PAPER, false, true));

  /** The network with that method, whatever the student's. */
  static Network with(Network network, Method own) {
    return (method, input, classes) -> network.layers(own, input, classes);
  }

  /** What evaluation builds, with all tensors as training leaves them. */
  private static Model evaluated(Network network, Method method, Backend backend, Passes passes) throws CheckpointException {
    Model model = new Model(network, method, IMAGES, CLASSES, backend, 8, new Execution(passes, Memory.FAST));
    SplittableRandom random = new SplittableRandom(9);
    List<NamedTensor> tensors = new ArrayList<>();
    for (NamedTensor each : model.save()) {
      float[] values = each.floats().clone();
      for (int i = 0; i < values.length; i++) values[i] = (float) (each.name().endsWith("running_var") ? random.nextDouble(0.5, 1.5) : values[i] + random.nextDouble(-0.1, 0.1));
      tensors.add(NamedTensor.ofFloats(each.name(), each.shape(), values));
    }
    model.load(tensors, "test");
    return model;
  }

  private static Tensor images(Backend backend) {
    Tensor pixels = backend.create(IMAGES, ElementType.UINT8);
    byte[] values = new byte[IMAGES.size()];
    new Random(7).nextBytes(values);
    backend.write(pixels, values);
    return pixels;
  }

  /** Bit for bit the logits of its evaluation, by its own scale of pixels, before and after the student's steps, whose calls for each epoch, part and backward do not reach it. */
  @OnEveryPrecision
  void theTeacherGivesTheLogitsOfItsEvaluationAndNoStepTouchesIt(Backend backend) throws CheckpointException {
    PixelScale scale = new PixelScale(List.of(0.5, 0.4, 0.3), List.of(0.2, 0.3, 0.25)), other = new PixelScale(List.of(0.1, 0.2, 0.3), List.of(0.5, 0.5, 0.5));
    Tensor pixels = images(backend), gradient = backend.create(Shape.matrix(4, CLASSES));
    for (Passes passes : new Passes[] {Passes.SIMPLE, Passes.FUSED}) {
      for (Map.Entry<Network, Method> each : TEACHERS.entrySet()) {
        String what = passes + ", " + each;
        Model alone = evaluated(each.getKey(), each.getValue(), backend, passes);
        alone.takePixels(scale);
        float[] wanted = backend.read(alone.forward(pixels, false));
        Model student = new Model(new GlyphNet(8), STUDENTS, IMAGES, CLASSES, backend, 3, new Execution(passes, passes == Passes.SIMPLE ? Memory.FAST : Memory.COMPACT), Optional.of(with(each.getKey(), each.getValue())));
        student.takePixels(other, scale);
        student.teacher().load(alone.save(), "test");
        Object[] before = student.teacher().save().toArray();
        for (int epoch = 0; epoch < 2; epoch++) {
          student.use(STUDENTS.at(epoch, 2));
          student.startEpoch(epoch);
          student.share(0.5f);
          assertArrayEquals(wanted, backend.read(student.teacher().forward(pixels, false)), what);
          float[] own = backend.read(student.forward(pixels, true));
          assertFalse(Arrays.equals(wanted, own));
          backend.write(gradient, own);
          student.backward(gradient);
          for (Parameter parameter : student.parameters()) backend.optim().addAll(List.of(parameter.value()), List.of(parameter.gradient()));
        }
        assertArrayEquals(before, student.teacher().save().toArray(), what);
        assertArrayEquals(wanted, backend.read(student.teacher().forward(pixels, false)), what);
        for (Parameter parameter : student.teacher().parameters()) {
          if (parameter.kind() == Parameter.Kind.LATENT_WEIGHT) assertNull(parameter.gradient(), what + ": room for a gradient");
        }
      }
    }
  }
}
