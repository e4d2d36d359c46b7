package onebit.dist;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import onebit.binarize.AdaBin;
import onebit.models.Model;
import onebit.models.ResNet18;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

class GradientBucketsTest {
  private final List<String> sent = new ArrayList<>();

  /** A communicator that only notes what is sent. */
  private Communicator noting() {
    return (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class}, (proxy, method, arguments) -> {
      if (method.getName().equals("startMean")) sent.add(arguments[0] + ":" + ((List<?>) arguments[1]).size());
      return method.getReturnType() == int.class ? 2 : null;
    });
  }

  private static Tensor of(int size) {
    return Tensor.of(Shape.vector(size), new float[size]);
  }

  @Test
  void aBucketLeavesWhenItsLastGroupIsReadyAndNotBefore() {
    List<List<Tensor>> groups = List.of(List.of(of(10)), List.of(), List.of(of(300), of(5)), List.of(of(100)), List.of(of(250)));
    GradientBuckets buckets = new GradientBuckets(noting(), groups, 1000, ElementType.FLOAT32);
    for (int step = 0; step < 2; step++) {
      sent.clear();
      buckets.ready(4);
      assertEquals(List.of("gradients 1:1"), sent);
      buckets.ready(3);
      assertEquals(1, sent.size(), "100 values do not fill a bucket");
      buckets.ready(2);
      assertEquals(List.of("gradients 1:1", "gradients 2:3"), sent);
      buckets.ready(1);
      buckets.ready(0);
      assertEquals("gradients 3:1", sent.getLast());
      buckets.finish();
      assertEquals(3, sent.size());
    }
  }

  /** 46.8 MB in buckets of at least 4 MB: several leave while backward goes on. */
  @Test
  void theGradientsOfResNet18TravelInSeveralBuckets() {
    try (CpuBackend backend = new CpuBackend()) {
      Model model = new Model(new ResNet18(), new AdaBin(AdaBin.Form.CODE, true, false), Shape.image(1, 64, 64, 3), 1000, backend, 1);
      GradientBuckets buckets = new GradientBuckets(noting(), model.gradientGroups(), 4 << 20, ElementType.FLOAT32);
      assertTrue(buckets.count() >= 4 && buckets.count() <= 12, buckets.count() + " buckets");
      assertEquals(model.parameters().size(), model.gradientGroups().stream().mapToInt(List::size).sum());
    }
  }
}
