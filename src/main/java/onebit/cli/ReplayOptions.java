package onebit.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.function.Consumer;
import onebit.ops.Backend;
import onebit.ops.cuda.CudaBackend;
import onebit.recipe.Recipe;
import picocli.CommandLine.Option;

/** Options of commands that train on a device: whether a step is replayed, and where its fastest ways are remembered. */
final class ReplayOptions {
  @Option(names = "--no-graph", description = "On a GPU: issue every step call by call, instead of replaying the whole step as a CUDA graph.")
  private boolean noGraph;

  @Option(names = "--tuning", paramLabel = "FILE|off", defaultValue = "off",
      description = "With train.deterministic=false on a GPU: times the algorithms for each convolution once and remembers the fastest in FILE (default: ${DEFAULT-VALUE}).")
  private String tuning;

  /** @throws IllegalArgumentException where a tuning file is named for the CPU; known before anything is opened */
  void requireDevice(String device) {
    if (!tuning.equals("off") && device.equals("cpu")) throw TuningFile.refused(device);
  }

  /** Sets the device up; writes: whether this process adds to the file. */
  void use(Backend backend, Recipe recipe, boolean writes, Consumer<String> tell) throws IOException {
    backend.replay(!noGraph);
    if (backend instanceof CudaBackend cuda) cuda.tellTo(tell);
    if (!tuning.equals("off")) TuningFile.use(Path.of(tuning), backend, recipe.train().deterministic(), writes, tell);
  }
}
