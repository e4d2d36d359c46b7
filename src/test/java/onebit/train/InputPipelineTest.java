package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import onebit.binarize.Method;
import onebit.binarize.Methods;
import onebit.data.Dataset;
import onebit.data.Split;
import onebit.models.Network;
import onebit.models.Networks;
import onebit.recipe.Recipes;
import onebit.recipe.RecordBinder;
import org.junit.jupiter.api.Test;

/** What a run says of a loader that its steps wait for. */
class InputPipelineTest {
  @Test
  void stepsThatWaitForImagesAreToldWithWhatHelps() throws IOException {
    var data = new Recipes(new RecordBinder(Map.of(Method.class, Methods.byName(), Network.class, Networks.byName()))).load("default", List.of("data.workers=3")).data();
    Dataset digits = InputPipeline.open(data, null, Split.TEST, 1);
    assertNull(InputPipeline.waiting(data, digits, 0.1, 500), "real data at nine tenths of the speed of none");
    assertNull(InputPipeline.waiting(data, digits, 0.9, 9), "the first batch of a short run");
    String told = InputPipeline.waiting(data, digits, 0.634, 61.6);
    assertTrue(told.startsWith("Training waited for images 63 % of this epoch (62 s): 3 threads on "), told);
    assertTrue(told.contains(digits.name()) && told.endsWith("`onebit bench feed` measures it. This is said once."), told);
    assertEquals(-1, told.indexOf("--encoding"), told);
    int processors = Runtime.getRuntime().availableProcessors();
    assertEquals(processors > 3, told.contains("--set data.workers=" + processors), told);
    assertEquals(processors <= 3, told.contains("More processors help."), told);
  }
}
