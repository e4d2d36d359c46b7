package onebit.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointStoreTest {
  @TempDir Path run;
  private Path folder;
  private final List<String> said = new ArrayList<>();

  @BeforeEach
  void placeFolder() {
    folder = run.resolve("checkpoints");
  }

  static Checkpoint checkpoint(long step, int size) {
    Random random = new Random(step);
    float[] values = new float[size];
    for (int i = 0; i < size; i++) values[i] = random.nextFloat();
    Map<String, String> state = new LinkedHashMap<>();
    state.put("epoch", String.valueOf(step / 10));
    state.put("note", "\u00e4 \"quoted\"\n");
    return new Checkpoint(step,
        List.of(NamedTensor.ofFloats("conv1.weight", new int[] {size}, values), NamedTensor.ofLongs("bn1.num_batches_tracked", new int[0], new long[] {step})),
        List.of(NamedTensor.ofFloats("conv1.weight.momentum", new int[] {size}, values)), state);
  }

  private static Checkpoint checkpoint(long step) {
    return checkpoint(step, 16);
  }

  private List<String> names() throws IOException {
    try (Stream<Path> paths = Files.list(folder)) {
      return paths.map(p -> p.getFileName().toString()).sorted().toList();
    }
  }

  private Checkpoint latest() throws IOException {
    return new CheckpointStore(folder, 2).loadLatest(said::add).orElseThrow();
  }

  @Test
  void aSavedCheckpointLoadsAsItWas() throws Exception {
    CheckpointStore store = new CheckpointStore(folder, 2);
    assertTrue(store.loadLatest(said::add).isEmpty());
    Path saved = store.save(checkpoint(10));
    store.markBest(10);
    assertEquals(checkpoint(10), latest());
    assertEquals(checkpoint(10), CheckpointStore.load(saved));
    assertEquals(checkpoint(10), CheckpointStore.load(run.resolve("best")));
    assertEquals(Path.of("checkpoints/step-000010"), Files.readSymbolicLink(run.resolve("last")));
    assertEquals(List.of(), said);
    // what earlier runs wrote must stay readable
    StringBuilder manifest = new StringBuilder("{\"format\":\"onebit-checkpoint-1\",\"step\":10,\"files\":[\n");
    for (String file : List.of("weights.safetensors", "optimizer.safetensors", "state.json")) {
      byte[] content = Files.readAllBytes(saved.resolve(file)), sha = java.security.MessageDigest.getInstance("SHA-256").digest(content);
      manifest.append("{\"name\":\"").append(file).append("\",\"bytes\":").append(content.length).append(",\"sha256\":\"")
          .append(java.util.HexFormat.of().formatHex(sha)).append(file.equals("state.json") ? "\"}\n]}\n" : "\"},\n");
    }
    assertEquals(manifest.toString(), Files.readString(saved.resolve("manifest.json")));
  }

  @Test
  void theNewestAndTheBestAreKept() throws Exception {
    CheckpointStore store = new CheckpointStore(folder, 2);
    for (long step = 1; step <= 5; step++) {
      store.save(checkpoint(step));
      if (step == 2) store.markBest(2);
    }
    assertEquals(List.of("step-000002", "step-000004", "step-000005"), names());
    store.markBest(5);
    assertEquals(5, latest().step(), "the best is the newest, too");
    store.save(checkpoint(1_000_006));
    assertEquals(List.of("step-000005", "step-1000006"), names());
    assertEquals(1_000_006, latest().step());
    assertThrows(CheckpointException.class, () -> store.markBest(4));
    assertEquals(Path.of("checkpoints/step-000005"), Files.readSymbolicLink(run.resolve("best")));
  }

  /** -Donebit.test.checkpoints=10000 for more. */
  @Test
  void manySavesLeaveNothingBehindButWhatIsKept() throws Exception {
    int saves = Integer.getInteger("onebit.test.checkpoints", 40), from = saves / 2;
    CheckpointStore store = new CheckpointStore(folder, 2);
    long heap = 0;
    for (int step = 1; step <= saves; step++) {
      store.save(checkpoint(step, 1000));
      if (step % 7 == 0) store.markBest(step);
      if (step == from) heap = usedHeap();
    }
    assertEquals(List.of(), openFiles());
    assertTrue(usedHeap() - heap < 1 << 20, heap + " bytes of heap after " + from + " saves, " + usedHeap() + " after " + saves);
    long best = saves / 7 * 7;
    assertEquals(Stream.of(best, saves - 1L, (long) saves).distinct().map(step -> String.format("step-%06d", step)).toList(), names());
    assertEquals(checkpoint(saves, 1000), latest());
    assertEquals(checkpoint(best, 1000), CheckpointStore.load(run.resolve("best")));
  }

  /** The files and folders of the run that this process has open, deleted ones too; what other tests left open a collector closes when it likes. */
  private List<String> openFiles() throws IOException {
    List<String> open = new ArrayList<>();
    try (Stream<Path> handles = Files.list(Path.of("/proc/self/fd"))) {
      for (Path handle : handles.toList()) {
        try {
          open.add(Files.readSymbolicLink(handle).toString());
        } catch (java.nio.file.NoSuchFileException closed) {
          // the list's own, or another thread's
        }
      }
    }
    return open.stream().filter(name -> name.startsWith(run.toString())).toList();
  }

  /** The least of three looks: other threads may make objects between the collection and the look. */
  private static long usedHeap() {
    long least = Long.MAX_VALUE;
    for (int look = 0; look < 3; look++) {
      System.gc();
      least = Math.min(least, Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory());
    }
    return least;
  }

  @Test
  void aRunThatWentBackLeavesTheLaterStepsBehind() throws Exception {
    CheckpointStore store = new CheckpointStore(folder, 2);
    for (long step : new long[] {1, 2, 3}) store.save(checkpoint(step));
    store.markBest(3);
    store.save(checkpoint(2, 17));
    assertEquals(List.of("step-000002", "step-000003"), names());
    assertEquals(checkpoint(2, 17), latest());
  }

  @Test
  void leftoversOfAStoppedSaveAreIgnoredAndRemoved() throws Exception {
    Files.createDirectories(folder.resolve("step-000009.tmp"));
    Files.writeString(folder.resolve("step-000009.tmp/weights.safetensors"), "half");
    Files.writeString(folder.resolve("notes.txt"), "mine");
    CheckpointStore store = new CheckpointStore(folder, 2);
    assertTrue(store.loadLatest(said::add).isEmpty());
    store.save(checkpoint(3));
    assertEquals(List.of("notes.txt", "step-000003"), names());
    assertEquals(3, latest().step());
  }

  @Test
  void aDamagedNewestIsPassedOverInOneSentence() throws Exception {
    CheckpointStore store = new CheckpointStore(folder, 3);
    for (long step : new long[] {1, 2, 3}) store.save(checkpoint(step));
    Files.delete(folder.resolve("step-000003/optimizer.safetensors"));
    assertEquals(2, latest().step());
    assertEquals(1, said.size());
    assertTrue(said.getFirst().contains("step-000003") && said.getFirst().contains("step-000002"), said.getFirst());
    try (var channel = java.nio.channels.FileChannel.open(folder.resolve("step-000002/weights.safetensors"), java.nio.file.StandardOpenOption.WRITE)) {
      channel.truncate(50);
    }
    assertEquals(1, latest().step());
    Files.delete(folder.resolve("step-000001/manifest.json"));
    String message = assertThrows(CheckpointException.class, this::latest).getMessage();
    assertTrue(message.contains("no checkpoint in"), message);
  }

  /** Any change of any byte of any file is found: 1,000 random changes, and one bit in every byte of the manifest. */
  @Test
  void everyChangedByteIsDetected() throws Exception {
    CheckpointStore store = new CheckpointStore(folder, 2);
    store.save(checkpoint(1, 300));
    Path newest = store.save(checkpoint(2, 300));
    List<Path> files;
    try (Stream<Path> paths = Files.list(newest)) {
      files = paths.sorted().toList();
    }
    assertEquals(4, files.size());
    Random random = new Random(7);
    for (int i = 0; i < 1000; i++) {
      Path file = files.get(i % files.size());
      byte[] good = Files.readAllBytes(file);
      byte[] bad = good.clone();
      bad[random.nextInt(bad.length)] ^= (byte) (1 + random.nextInt(255));
      Files.write(file, bad);
      said.clear();
      assertEquals(1, latest().step());
      assertEquals(1, said.size());
      assertTrue(said.getFirst().contains(i % files.size() == 0 ? "step-000002" : file.getFileName() + " does not have"), said.getFirst());
      Files.write(file, good);
    }
    Path manifest = newest.resolve("manifest.json");
    byte[] good = Files.readAllBytes(manifest);
    for (int i = 0; i < good.length; i++) {
      byte[] bad = good.clone();
      bad[i] ^= (byte) (1 << i % 8);
      Files.write(manifest, bad);
      String named = assertThrows(CheckpointException.class, () -> CheckpointStore.load(newest)).getMessage();
      assertTrue(named.startsWith(newest.toRealPath() + ": "), named);
    }
    for (int length = 0; length < good.length; length++) {
      Files.write(manifest, Arrays.copyOf(good, length));
      assertThrows(CheckpointException.class, () -> CheckpointStore.load(newest), length + " bytes of the manifest");
    }
    for (byte more : new byte[] {0, '\n'}) {
      byte[] longer = Arrays.copyOf(good, good.length + 1);
      longer[good.length] = more;
      Files.write(manifest, longer);
      assertThrows(CheckpointException.class, () -> CheckpointStore.load(newest));
    }
    Files.write(manifest, good);
    assertEquals(checkpoint(2, 300), latest());
  }

  @Test
  void aCheckpointUnderTheNameOfAnotherStepIsRefused() throws Exception {
    Path saved = new CheckpointStore(folder, 2).save(checkpoint(1));
    Path moved = Files.move(saved, folder.resolve("step-000002"));
    assertThrows(CheckpointException.class, () -> CheckpointStore.load(moved));
    assertThrows(CheckpointException.class, () -> CheckpointStore.load(run));
    assertThrows(CheckpointException.class, () -> CheckpointStore.load(run.resolve("none")));
  }

  private static final class Stop extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** Hooks that count, and stop at one of them. */
  private static List<String> saveAndStop(Path folder, Checkpoint checkpoint, int keep, int stopAt, Runnable stop) throws IOException {
    List<String> heard = new ArrayList<>();
    CheckpointStore store = new CheckpointStore(folder, keep, step -> {
      heard.add(step);
      if (heard.size() == stopAt) stop.run();
    });
    store.save(checkpoint);
    store.markBest(checkpoint.step());
    return heard;
  }

  /** Keep 1, and the same step saved twice: the two hardest cases, stopped after every step. */
  @Test
  void aSaveStoppedAnywhereLeavesTheOldOrTheNewCheckpoint() throws Exception {
    for (long step : new long[] {1, 2}) {
      int stopAt = 1;
      for (boolean finished = false; !finished; stopAt++) {
        Path fresh = run.resolve("run" + step + "-" + stopAt).resolve("checkpoints");
        new CheckpointStore(fresh, 1).save(checkpoint(1, 5));
        new CheckpointStore(fresh, 1).markBest(1);
        try {
          finished = saveAndStop(fresh, checkpoint(step, 6), 1, stopAt, () -> { throw new Stop(); }).size() < stopAt;
        } catch (Stop e) {
          finished = false;
        }
        Checkpoint found = new CheckpointStore(fresh, 1).loadLatest(said::add).orElseThrow();
        assertTrue(found.equals(checkpoint(1, 5)) || found.equals(checkpoint(step, 6)), "stopped at " + stopAt);
        new CheckpointStore(fresh, 1).markBest(found.step());
        assertEquals(found, CheckpointStore.load(fresh.resolveSibling("best")), "stopped at " + stopAt);
        for (long next : new long[] {step, 3}) {
          new CheckpointStore(fresh, 1).save(checkpoint(next, 7));
          assertEquals(checkpoint(next, 7), new CheckpointStore(fresh, 1).loadLatest(said::add).orElseThrow());
        }
      }
      assertTrue(stopAt > 10, "only " + stopAt + " steps were heard");
    }
    assertEquals(List.of(), said);
  }

  @Test
  void theOneMovedAsideTakesThePlaceOfADamagedOneOfItsStep() throws Exception {
    Path saved = new CheckpointStore(folder, 1).save(checkpoint(1));
    Files.move(saved, folder.resolve("step-000001-replaced"));
    for (String broken : new String[] {"step-000001", "step-000001.old.tmp"}) {
      Files.writeString(Files.createDirectories(folder.resolve(broken)).resolve("weights.safetensors"), "half");
    }
    assertEquals(checkpoint(1), latest());
    assertEquals(List.of("step-000001"), names());
    assertEquals(checkpoint(1), CheckpointStore.load(run.resolve("last")));
    assertEquals(1, said.size());
  }

  @Test
  void aStateThatIsNotOneTextUnderEachNameIsRefused() {
    for (String bad : new String[] {"[]", "{\"a\":1}", "{\"a\":\"1\",\"a\":\"2\"}", "{\"a\":\"1\""}) {
      java.nio.ByteBuffer text = java.nio.charset.StandardCharsets.UTF_8.encode(bad);
      assertThrows(CheckpointException.class, () -> StateJson.read("state.json", text), bad);
    }
  }

  /** Child process: saves step 2 and dies without any clean-up after the given protocol step. */
  static final class Saver {
    public static void main(String[] args) throws Exception {
      int heard = saveAndStop(Path.of(args[0]), checkpoint(2, 6), 2, Integer.parseInt(args[1]), () -> Runtime.getRuntime().halt(9)).size();
      System.out.println(heard);
    }
  }

  @Test
  void aProcessThatDiesAnywhereInASaveLeavesTheOldOrTheNewCheckpoint() throws Exception {
    int steps = saveAndStop(run.resolve("count/checkpoints"), checkpoint(2, 6), 2, -1, () -> { }).size();
    List<Long> found = new ArrayList<>();
    for (int stopAt = 1; stopAt <= steps; stopAt++) {
      Path fresh = run.resolve("run" + stopAt).resolve("checkpoints");
      new CheckpointStore(fresh, 2).save(checkpoint(1, 5));
      Process child = ChildJvm.start(Saver.class, fresh.toString(), String.valueOf(stopAt));
      String output = new String(child.getInputStream().readAllBytes());
      assertEquals(9, child.waitFor(), output);
      Checkpoint latest = new CheckpointStore(fresh, 2).loadLatest(said::add).orElseThrow();
      assertEquals(latest.step() == 1 ? checkpoint(1, 5) : checkpoint(2, 6), latest);
      found.add(latest.step());
    }
    assertTrue(found.contains(1L) && found.contains(2L));
    assertEquals(found.stream().sorted().toList(), found);
    assertEquals(List.of(), said);
  }

  /** Child process: one save that must fail; prints the message. */
  static final class FullDisk {
    public static void main(String[] args) throws Exception {
      try {
        new CheckpointStore(Path.of(args[0]), 1).save(checkpoint(2, 1_000_000));
        System.out.println("saved");
      } catch (IOException e) {
        System.out.println(e.getMessage());
      }
    }
  }

  @Test
  void aDiskThatRefusesMoreBytesLeavesTheOldCheckpoint() throws Exception {
    assumeTrue(Files.isExecutable(Path.of("/bin/bash")), "bash is not here to limit the size of a file");
    new CheckpointStore(folder, 1).save(checkpoint(1));
    List<String> command = new ArrayList<>(List.of("/bin/bash", "-c", "ulimit -f 512; exec \"$@\"", "limited"));
    command.addAll(ChildJvm.command(FullDisk.class, folder.toString()));
    Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(child.getInputStream().readAllBytes());
    child.waitFor();
    assertTrue(output.contains("was not written, the ones before it are untouched"), output);
    assertEquals(List.of("step-000001"), names());
    assertEquals(checkpoint(1), latest());
  }

  @Test
  void aFolderThatCannotBeMadeIsSaidInWords() throws Exception {
    Files.writeString(folder, "a file in the way");
    String message = assertThrows(CheckpointException.class, () -> new CheckpointStore(folder, 1).save(checkpoint(1))).getMessage();
    assertTrue(message.contains("was not written"), message);
    assertThrows(IllegalArgumentException.class, () -> new CheckpointStore(folder, 0));
    assertThrows(IllegalArgumentException.class, () -> new CheckpointStore(run.getRoot(), 1));
    assertThrows(IllegalArgumentException.class, () -> new Checkpoint(-1, List.of(), List.of(), Map.of()));
  }
}
