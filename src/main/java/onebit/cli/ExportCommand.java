package onebit.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.checkpoint.DurableFiles;
import onebit.export.FilterForm;
import onebit.export.OnnxExport;
import onebit.ops.PixelScale;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.report.Environment;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit export}. */
@Command(
    name = "export",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = "Writes trained weights as an ONNX file for other runtimes. In: any number of images, values 0 to 1. Out: logits, or boxes and scores. Binary filters take one bit per weight.",
    footer = {"", "Example: onebit export --weights runs/adabin-resnet20-cifar10/best resnet20.onnx"})
final class ExportCommand implements Callable<Integer> {
  @Mixin private TrainedOptions trained;

  @Parameters(index = "0", paramLabel = "OUT.onnx", description = "The file to write; an existing one is replaced in one step.")
  private Path to;

  @Option(names = "--filters", paramLabel = "FORM", defaultValue = "bits",
      description = "Store binary filters as bits, or as float32 values for runtimes that lack BitShift or BitwiseAnd of operator set 18: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private FilterForm form;

  @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Overrides a recipe key by its dotted name; repeatable ('onebit recipes --keys').")
  private List<String> overrides = new ArrayList<>();

  @Mixin private JsonOption json;

  @Override
  public Integer call() throws IOException {
    if (!to.toString().endsWith(".onnx")) throw new IllegalArgumentException("OUT must end in .onnx, got " + to);
    if (Files.isDirectory(to)) throw new IllegalArgumentException("OUT " + to + " is a folder; a file is wanted here");
    Path folder = to.toAbsolutePath().getParent();
    if (!Files.isDirectory(folder)) throw new IllegalArgumentException("OUT " + to + ": the folder " + folder + " does not exist");
    Recipe recipe = Workplace.RECIPES.load(trained.recipe(), overrides);
    trained.tellOtherJars(System.err::println);
    DataRecipe data = recipe.data();
    var tensors = trained.tensors();
    String title = trained.title();
    try (OnnxExport export = new OnnxExport(title, new CpuBackend(), form)) {
      export.add(trained.model(recipe, 1, export.backend(), tensors), new PixelScale(data.mean(), data.std()));
      export.describe("recipe", title + (overrides.isEmpty() ? "" : " with " + String.join(" ", overrides)));
      List<String> classes = trained.classes(data);
      if (!classes.isEmpty()) export.describe("classes", String.join(",", classes));
      String in = String.format(Locale.ROOT, "images N,%d,%d,%d as 0 to 1%s", data.channels(), data.height(), data.width(), data.channels() == 3 ? " (red, green, blue)" : "");
      String out = recipe.network().detects() ? "boxes (left, top, right, bottom as parts of the image) and scores (background first) of each prior" : "logits N," + data.classes();
      byte[] file = export.file(Environment.version(), in + "; " + out);
      DurableFiles.replace(to, List.of(ByteBuffer.wrap(file)));
      report(file.length, export, in, out);
    }
    return 0;
  }

  private void report(int bytes, OnnxExport export, String in, String out) {
    if (!json.on()) {
      System.out.printf(Locale.ROOT, "%s: %,d bytes, %d nodes of ONNX operator set %d; in: %s; out: %s%n", to, bytes, export.nodes(), export.operatorSet(), in, out);
      return;
    }
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("file", to.toString());
    members.put("bytes", bytes);
    members.put("nodes", export.nodes());
    members.put("operatorSet", export.operatorSet());
    members.put("in", in);
    members.put("out", out);
    json.print(members);
  }
}
