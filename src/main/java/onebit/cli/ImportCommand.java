package onebit.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.checkpoint.Safetensors;
import onebit.checkpoint.TorchCheckpoint;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code onebit import}. */
@Command(
    name = "import",
    mixinStandardHelpOptions = true,
    description = "Turns a PyTorch zip checkpoint into safetensors without executing its pickle; names and shapes stay.")
final class ImportCommand implements Callable<Integer> {
  @Parameters(index = "0", paramLabel = "FILE.th|.pt|.pth", description = "The PyTorch checkpoint.")
  private Path from;

  @Parameters(index = "1", paramLabel = "OUT.safetensors", description = "The file to write; an existing one is replaced in one step.")
  private Path to;

  @Mixin private JsonOption json;

  @Override
  public Integer call() throws IOException {
    if (!to.toString().endsWith(".safetensors")) throw new IllegalArgumentException("OUT must end in .safetensors, got " + to);
    if (!Files.exists(from)) throw new IOException("checkpoint " + from + " does not exist");
    TorchCheckpoint checkpoint = TorchCheckpoint.read(from);
    Safetensors.write(to, checkpoint.metadata(), checkpoint.tensors());
    long values = checkpoint.tensors().stream().mapToLong(t -> t.elements()).sum();
    checkpoint.skipped().forEach(s -> System.err.println("left out: " + s));
    if (json.on()) {
      Map<String, Object> members = new LinkedHashMap<>();
      members.put("tensors", checkpoint.tensors().size());
      members.put("values", values);
      members.put("file", to.toString());
      json.print(members);
    } else {
      System.out.printf(java.util.Locale.ROOT, "%d tensors, %,d values -> %s%n", checkpoint.tensors().size(), values, to);
    }
    return 0;
  }
}
