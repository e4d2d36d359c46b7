package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import onebit.ops.Backend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.ops.cuda.Tuning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TuningFileTest {
  private static final TuningFile.Device DEVICE = new TuningFile.Device("a GPU", "CUDA 13000, cuDNN 92400", "0123456789abcdef");
  private static final List<Tuning.Choice> CHOICES = List.of(new Tuning.Choice("conv \"1\"", "and with 64 columns a block", 0.25),
      new Tuning.Choice("conv 2", "cuDNN algorithm 1", 1.5));

  @TempDir private Path folder;
  private final List<String> told = new ArrayList<>();

  private TuningFile file(TuningFile.Device device, boolean writes) {
    return new TuningFile(folder.resolve("tuning.jsonl"), device, writes, told::add);
  }

  private static void remember(TuningFile file, List<Tuning.Choice> choices) {
    for (Tuning.Choice choice : choices) file.append(choice);
  }

  @Test
  void choicesComeBackForTheirDeviceOnly() throws Exception {
    assertEquals(List.of(), file(DEVICE, true).read());
    remember(file(DEVICE, false), CHOICES);
    assertEquals(List.of(), file(DEVICE, true).read());
    remember(file(DEVICE, true), CHOICES);
    TuningFile.Device other = new TuningFile.Device("another GPU", "CUDA 13000, cuDNN 92400", "0123456789abcdef");
    remember(file(other, true), CHOICES.subList(0, 1));
    assertEquals(CHOICES, file(DEVICE, true).read());
    assertEquals(CHOICES.subList(0, 1), file(other, true).read());
    assertEquals(List.of(), told);
  }

  @Test
  void choicesOfAnotherDriverOrOtherKernelsAreNotUsed() throws Exception {
    remember(file(DEVICE, true), CHOICES);
    for (TuningFile.Device now : List.of(new TuningFile.Device("a GPU", "CUDA 13010", DEVICE.kernels()), new TuningFile.Device("a GPU", DEVICE.driver(), "f"))) {
      told.clear();
      assertEquals(List.of(), file(now, true).read());
      assertEquals(List.of("tuning: 2 choices of " + folder.resolve("tuning.jsonl") + " are of another driver or other kernels; they are measured anew"), told);
    }
  }

  @Test
  void aDamagedFileIsToldInOneSentenceAndLearnedAnew() throws Exception {
    Path path = folder.resolve("tuning.jsonl");
    Files.writeString(path, "{\"device\":\"a GPU\",\"driver\":\"CUDA 13000, cuDNN 92400\",\"kernels\":\"0123456789abcdef\"}\n{\"device\":\"a GPU\",\"dri");
    remember(file(DEVICE, true), CHOICES);
    told.clear();
    assertEquals(CHOICES, file(DEVICE, true).read());
    assertEquals(List.of("tuning: " + path + ", line 1 is damaged; what it chose is measured anew",
        "tuning: " + path + ", line 2 is damaged; what it chose is measured anew"), told);
    told.clear();
    Files.write(path, new byte[] {(byte) 0xff, (byte) 0xfe, 0, 1});
    assertEquals(List.of(), file(DEVICE, true).read());
    assertEquals(List.of("tuning: " + path + " is no text; its choices are measured anew"), told);
  }

  @Test
  void whereNothingMayBeTimedThatIsSaid() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Path path = folder.resolve("t");
    try (Backend cpu = Workplace.open("cpu"); Backend emulated = Workplace.open("cuda-emulated")) {
      assertEquals("--tuning is about a CUDA device; the device is cpu",
          assertThrows(IllegalArgumentException.class, () -> TuningFile.use(path, cpu, false, true, told::add)).getMessage());
      TuningFile.use(path, emulated, false, true, told::add);
    }
    assertEquals(List.of("tuning: cuda-emulated is a test device and never timed; the usual ways are taken"), told);
    assertTrue(Files.notExists(path));
  }
}
