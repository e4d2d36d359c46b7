package onebit.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import onebit.dist.Ranks;

/** Starts the program in a JVM of its own, as the launcher does. */
final class ChildRun {
  /** So often a fault is tried that is to fall into a small run's training, which on a busy machine may have ended before. */
  static final int TRIES = 8;

  private ChildRun() {}

  /** A recipe of a few small steps on generated images: 16 batches an epoch, a checkpoint every third step. */
  static Path smallRecipe(Path folder) throws IOException {
    return Files.writeString(folder.resolve("small.yaml"), """
        description: A small run for tests.
        method: {name: adabin}
        network: {name: glyphnet, width: 8}
        data:
          name: generated
          batch: 32
          evalBatch: 64
          height: 12
          width: 12
          channels: 1
          classes: 10
          mean: [0.5]
          std: [0.25]
          augment: {flip: 0.5, cropPad: 2}
          workers: 2
        optimizer: {name: adam, learningRate: 0.002}
        schedule: {name: cosine, per: iteration}
        train: {epochs: 3, seed: 7}
        checkpoint: {everySteps: 3, everyMinutes: 0, keep: 2}
        """);
  }

  /** Arguments that put the small recipe on photos in class folders in place of its generated images, and more of them. */
  static String[] onPhotos(Path data, String... more) {
    List<String> all = new ArrayList<>(List.of("--data", data.toString(), "--set", "data.name=folder", "--set", "data.channels=3", "--set", "data.mean=[0.5, 0.5, 0.5]", "--set",
        "data.std=[0.25, 0.25, 0.25]"));
    all.addAll(List.of(more));
    return all.toArray(String[]::new);
  }

  static Process start(Path output, String... arguments) throws IOException {
    return new ProcessBuilder(Ranks.java("onebit.cli.Main", arguments)).redirectErrorStream(true).redirectOutput(output.toFile()).start();
  }

  static String weightsDigest(Path run) throws Exception {
    byte[] weights = Files.readAllBytes(run.resolve("last").resolve("weights.safetensors"));
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(weights));
  }
}
