package onebit.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.data.Datasets;
import onebit.dist.MpiCommunicator;
import onebit.dist.nccl.NcclCommunicator;
import onebit.ops.Backend;
import onebit.ops.cuda.CudaDoctor;
import onebit.ops.cuda.CudaLibraries;
import onebit.report.Environment;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code onebit doctor}. */
@Command(
    name = "doctor",
    mixinStandardHelpOptions = true,
    description = "Says what this machine offers, what Onebit uses of it, and how to fix what is missing.")
final class DoctorCommand implements Callable<Integer> {
  @Mixin private JsonOption json;

  @Override
  public Integer call() {
    Map<String, Object> findings = new LinkedHashMap<>(Environment.facts());
    if (json.on()) {
      findings.put("cores", Runtime.getRuntime().availableProcessors());
      if (Environment.memoryBytes() >= 0) findings.put("memoryBytes", Environment.memoryBytes());
      findings.put("heapBytes", Runtime.getRuntime().maxMemory());
    }
    boolean vector = ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();
    findings.put("Vector API", vector ? "on" : "off; start Onebit with the launcher ./onebit, or add --add-modules jdk.incubator.vector");
    try (Backend backend = Workplace.open("cpu")) {
      findings.put("device cpu", List.copyOf(backend.describe()));
    }
    findings.put("photos", Datasets.findings());
    findings.put("CUDA", CudaDoctor.findings());
    findings.put("many GPUs", NcclCommunicator.finding(CudaLibraries.find().searched()));
    findings.put("many processes", MpiCommunicator.finding());
    List<String> extensions = Workplace.RECIPES.extensions();
    String jars = System.getenv("ONEBIT_CLASSPATH");
    findings.put("extensions", !extensions.isEmpty() ? extensions : jars == null || jars.isEmpty() ? "none; ONEBIT_CLASSPATH names jars with methods, networks and data sets of your own"
        : "none, although ONEBIT_CLASSPATH is " + jars + ": no jar or folder of it names one in META-INF/services/onebit.recipe.Extension");
    if (!json.print(findings)) {
      findings.forEach((name, value) -> {
        if (value instanceof List<?> lines) lines.forEach(line -> System.out.printf(Locale.ROOT, "%-14s %s%n", name, line));
        else System.out.printf(Locale.ROOT, "%-14s %s%n", name, value);
      });
    }
    return 0;
  }
}
