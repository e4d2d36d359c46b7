package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import onebit.binarize.AdaBin;
import onebit.binarize.Method;
import onebit.data.Boxes;
import onebit.data.Dataset;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.Sampler;
import onebit.detect.Detector;
import onebit.detect.Priors;
import onebit.dist.Communicator;
import onebit.layers.BuildContext;
import onebit.layers.Layer;
import onebit.models.Execution;
import onebit.models.Model;
import onebit.models.Network;
import onebit.ops.Backend;
import onebit.ops.PixelScale;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** A network that knows the boxes, or misses some, is given the mean average precision that follows from what it misses, by one process and by three. */
class BoxEvaluationTest {
  private static final int IMAGES = 23, BATCH = 5, CLASSES = 3;
  private static final Priors PRIORS = Priors.ssd300();
  private static final Detector DETECTOR = new Detector(PRIORS, CLASSES);

  /** Images of one pixel that say their number, with one box of each class, far from each other. */
  private record Numbered() implements Dataset {
    @Override public String name() {
      return "numbered";
    }

    @Override public int size() {
      return IMAGES;
    }

    @Override public int height() {
      return 1;
    }

    @Override public int width() {
      return 1;
    }

    @Override public int channels() {
      return 3;
    }

    @Override public int classes() {
      return CLASSES;
    }

    @Override public int label(int index) {
      return 0;
    }

    @Override public void read(int index, byte[] into, int offset) {
      Arrays.fill(into, offset, offset + 3, (byte) index);
    }

    @Override public boolean hasBoxes() {
      return true;
    }

    @Override public void boxes(int index, Boxes into) {
      SplittableRandom random = new SplittableRandom(index);
      into.clear(300, 400);
      for (int label = 0; label < CLASSES; label++) {
        float left = (float) (0.33 * label + random.nextDouble(0, 0.05)), top = (float) random.nextDouble(0, 0.5);
        into.add(label, false, left, top, left + 0.25f, top + (float) random.nextDouble(0.2, 0.4));
      }
    }
  }

  /** Gives for each image the values of its number. */
  private record Knowing(float[][] answers) implements Network {
    @Override public Layer layers(Method method, Shape input, int classes) {
      return new Layer() {
        private Backend backend;
        private Tensor y;

        @Override public Shape build(BuildContext context, Shape shape) {
          backend = context.backend();
          return (y = backend.create(Shape.matrix(shape.d0(), DETECTOR.values()))).shape();
        }

        @Override public Tensor forward(Tensor x, boolean training) {
          int n = x.shape().d0();
          float[] pixels = backend.read(x), all = new float[n * answers[0].length];
          for (int i = 0; i < n; i++) System.arraycopy(answers[Math.round(255 * pixels[3 * i])], 0, all, i * answers[0].length, answers[0].length);
          backend.write(y.first(n), all);
          return y.first(n);
        }

        @Override public Tensor backward(Tensor gradY) {
          throw new UnsupportedOperationException();
        }
      };
    }

    @Override public int outputs(int classes) {
      return DETECTOR.values();
    }

    @Override public boolean detects() {
      return true;
    }
  }

  /** Values with which every box is found at its place, but those that are missed. */
  private static float[][] answers(boolean[][] missed) {
    float[][] all = new float[IMAGES][DETECTOR.values()];
    for (int image = 0; image < IMAGES; image++) {
      Boxes boxes = new Boxes();
      new Numbered().boxes(image, boxes);
      float[] row = all[image];
      for (int prior = 0; prior < PRIORS.count(); prior++) row[4 * PRIORS.count() + prior * (1 + CLASSES)] = 20;
      for (int i = 0; i < boxes.count(); i++) {
        if (missed[image][i]) continue;
        int prior = 7 * i + image;   // any prior can hold any box
        PRIORS.encode(prior, boxes.left(i), boxes.top(i), boxes.right(i), boxes.bottom(i), row, 4 * prior);
        int logits = 4 * PRIORS.count() + prior * (1 + CLASSES);
        row[logits] = 0;
        row[logits + 1 + boxes.label(i)] = 10;
      }
    }
    return all;
  }

  private static Score.Precision evaluate(float[][] answers, Communicator ranks) throws Exception {
    try (Backend backend = new CpuBackend();
        Loader loader = new Loader(new Numbered(), Sampler.evaluation(IMAGES, BATCH).shard(ranks == null ? 0 : ranks.rank(), ranks == null ? 1 : ranks.size()),
            List.of(), 1, LoaderWatch.STRICT)) {
      Model model = new Model(new Knowing(answers), new AdaBin(AdaBin.Form.CODE, true, false), Shape.image(BATCH, 1, 1, 3), CLASSES, backend, 1, Execution.DEFAULT);
      model.takePixels(new PixelScale(List.of(0.0, 0.0, 0.0), List.of(1.0, 1.0, 1.0)));
      BoxEvaluation evaluation = new BoxEvaluation(backend, model, backend.inlet(Shape.image(BATCH, 1, 1, 3)), DETECTOR, List.of("cat"), 7);   // ranks gather in many pieces
      return (Score.Precision) (ranks == null ? evaluation.run(loader, Integer.MAX_VALUE, done -> { }) : evaluation.run(loader, Integer.MAX_VALUE, ranks, done -> { }, () -> false));
    }
  }

  /** A rank among threads that can only gather. */
  private static Communicator rank(int rank, long[][] table, CyclicBarrier barrier) {
    InvocationHandler handler = (proxy, method, given) -> switch (method.getName()) {
      case "rank" -> rank;
      case "size" -> table.length;
      case "allGather" -> {
        table[rank] = (long[]) given[0];
        barrier.await(60, TimeUnit.SECONDS);
        long[][] all = table.clone();
        barrier.await(60, TimeUnit.SECONDS);
        yield all;
      }
      default -> throw new UnsupportedOperationException(method.getName());
    };
    return (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class}, handler);
  }

  @Test void allBoxesAreFoundByAnetworkThatKnowsThem() throws Exception {
    Score.Precision score = evaluate(answers(new boolean[IMAGES][CLASSES]), null);
    assertEquals(100, score.percent(), 0);
    assertEquals(IMAGES, score.images());
    assertEquals(IMAGES * CLASSES, score.points().boxes());
    assertTrue(score.words().startsWith("mean average precision 100.00 %"), score.words());
    assertEquals("cat", score.className(0));
    assertEquals("2", score.className(2));
  }

  @Test void threeRanksAreToldWhatOneProcessIs() throws Exception {
    boolean[][] missed = new boolean[IMAGES][CLASSES];
    for (int image = 0; image < IMAGES; image++) {
      missed[image][0] = image % 2 == 0;
      missed[image][1] = true;
    }
    Score.Precision alone = evaluate(answers(missed), null);
    // 11 of 23 boxes of class 0 are found and nothing else is: the area is 11/23, and the precision is 1 at recalls 0 to 0.4
    assertArrayEquals(new double[] {11.0 / 23, 0, 1}, alone.area().average(), 1e-12);
    assertArrayEquals(new double[] {5.0 / 11, 0, 1}, alone.points().average(), 1e-12);
    double points = 100 * (5.0 / 11 + 1) / 3, area = 100 * (11.0 / 23 + 1) / 3;
    assertEquals(points, (double) alone.metrics().get("testMap"), 1e-9);
    assertEquals(area, (double) alone.metrics().get("testMapOfArea"), 1e-9);
    assertEquals(area, (double) alone.members().get("mapOfArea"), 1e-9);
    assertEquals("{cat=" + 100 * alone.points().average()[0] + ", 1=0.0, 2=100.0}", alone.members().get("average").toString());
    long[][] table = new long[3][];
    CyclicBarrier barrier = new CyclicBarrier(3);
    List<Callable<Score.Precision>> each = new ArrayList<>();
    for (int r = 0; r < 3; r++) {
      Communicator communicator = rank(r, table, barrier);
      each.add(() -> evaluate(answers(missed), communicator));
    }
    try (ExecutorService threads = Executors.newFixedThreadPool(3)) {
      for (Future<Score.Precision> told : threads.invokeAll(each)) {
        assertEquals(alone.percent(), told.get().percent(), 0);
        assertEquals(IMAGES, told.get().images());
        assertEquals(alone.points().detections(), told.get().points().detections());
      }
    }
  }
}
