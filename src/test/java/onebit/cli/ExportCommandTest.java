package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import onebit.checkpoint.Safetensors;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.Recipe;
import onebit.tensor.Shape;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ExportCommandTest {
  private static final String WIDTH = "network.width=8";

  @TempDir private Path folder;
  private String weights;

  @BeforeEach
  void saveWeights() throws IOException {
    Recipe recipe = Workplace.RECIPES.load("default", List.of(WIDTH));
    Path file = folder.resolve("w.safetensors");
    try (Backend backend = new CpuBackend()) {
      Safetensors.write(file, Map.of(), new Model(recipe.network(), recipe.method(), Shape.image(1, 28, 28, 1), recipe.data().classes(), backend, 1).save());
    }
    weights = file.toString();
  }

  private Said export(String out, String... more) {
    return Said.by(Stream.concat(Stream.of("export", "--recipe", "default", "--weights", weights, "--set", WIDTH, out),
        Stream.of(more)).toArray(String[]::new));
  }

  @Test
  void theFileIsWrittenWholeAndItsSizeIsSaid() throws IOException {
    Path out = folder.resolve("glyphs.onnx"), values = folder.resolve("values.onnx");
    Said said = export(out.toString());
    assertEquals(0, said.code(), said.err());
    assertTrue(said.out().contains("glyphs.onnx: ") && said.out().contains("in: images N,1,28,28 as 0 to 1; out: logits N,10"), said.out());
    byte[] first = Files.readAllBytes(out);
    JsonNode json = JsonMapper.shared().readTree(export(out.toString(), "--json").lastLine());
    assertEquals(first.length, json.get("bytes").asInt());
    assertArrayEquals(first, Files.readAllBytes(out), "the same weights make the same file");
    assertEquals(0, export(values.toString(), "--filters", "values").code());
    assertTrue(Files.size(values) > first.length, Files.size(values) + " and " + first.length);
  }

  @Test
  void whatCannotBeExportedIsSaidAndLeavesNoFile() throws IOException {
    assertRefused(2, "must end in .onnx", export(folder.resolve("net.bin").toString()));
    assertRefused(2, "does not exist", export(folder.resolve("nowhere").resolve("net.onnx").toString()));
    assertRefused(2, "must end in .onnx", export("/"));
    assertRefused(2, "--filters", export(folder.resolve("net.onnx").toString(), "--filters", "words"));
    assertRefused(1, "missing.safetensors", Said.by("export", "--recipe", "default", "--weights", folder.resolve("missing.safetensors").toString(), folder.resolve("net.onnx").toString()));
    assertRefused(1, "w.safetensors", Said.by("export", "--recipe", "default", "--weights", weights, folder.resolve("net.onnx").toString()));
    Path there = Files.createDirectory(folder.resolve("folder.onnx"));
    assertRefused(2, "folder.onnx is a folder; a file is wanted here", export(there.toString()));
    try (var files = Files.list(folder)) {
      assertEquals(List.of("folder.onnx", "w.safetensors"), files.map(f -> f.getFileName().toString()).sorted().toList());
    }
  }

  @Test
  void aFullDiskIsSaidWithTheFileAndWhatWasThereStays() throws Exception {
    Path disk = Files.createDirectory(folder.resolve("disk")), out = disk.resolve("net.onnx");
    boolean root = "root".equals(System.getProperty("user.name"));
    assumeTrue(root && shell("mount -t tmpfs -o size=12k tmpfs " + disk) == 0, "needs the right to mount a small file system");
    try {
      Files.writeString(out, "an older file");
      assertRefused(1, out + " cannot be written: No space left on device", export(out.toString()));
      assertEquals("an older file", Files.readString(out));
      try (var files = Files.list(disk)) {
        assertEquals(1, files.count());
      }
    } finally {
      shell("umount -l " + disk);
    }
  }

  private static int shell(String command) throws Exception {
    return new ProcessBuilder("bash", "-c", command + " 2>/dev/null").start().waitFor();
  }

  private static void assertRefused(int code, String named, Said said) {
    assertEquals(code, said.code(), said.err());
    assertTrue(said.err().contains(named), said.err());
    assertFalse(said.err().contains("\tat "), said.err());
  }
}
