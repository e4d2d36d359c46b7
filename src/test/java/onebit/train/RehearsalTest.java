package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.Color;
import java.awt.GradientPaint;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import javax.imageio.ImageIO;
import onebit.dist.RankStatus;
import onebit.dist.Ranks;
import onebit.report.Json;
import onebit.report.MetricsLog;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The ImageNet job in small: archives as the official ones are, prepared, ResNet-18 trained by two processes of which one is killed, validated.
 */
class RehearsalTest {
  private static final Path PHOTOS = Path.of("../shared/data/imagenet-full-size");
  private static final String[] CLASSES = {"n01440764", "n02102040", "n03000684", "n03888257"};
  private static final int TRAIN_OF_A_CLASS = 8, VALIDATION = 13;

  @TempDir private Path folder;

  /** Real photos where they are at hand, else drawn ones; class c's are tinted so that there is something to learn. */
  private static byte[] jpeg(int index) throws Exception {
    if (Files.isDirectory(PHOTOS)) {
      try (var files = Files.list(PHOTOS)) {
        List<Path> sorted = files.filter(f -> f.toString().endsWith(".JPEG")).sorted().toList();
        return Files.readAllBytes(sorted.get(index % sorted.size()));
      }
    }
    BufferedImage image = new BufferedImage(90 + index % 30, 80 + index % 20, BufferedImage.TYPE_INT_RGB);
    Graphics2D pen = image.createGraphics();
    pen.setPaint(new GradientPaint(0, 0, Color.getHSBColor(index * 0.13f, 0.7f, 0.9f), 80, 80, Color.getHSBColor(index * 0.29f, 0.5f, 0.4f)));
    pen.fillRect(0, 0, 200, 200);
    pen.dispose();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ImageIO.write(image, "jpg", out);
    return out.toByteArray();
  }

  private static void entry(OutputStream tar, String name, byte[] content) throws Exception {
    byte[] header = new byte[512];
    put(header, 0, name);
    put(header, 100, "0000644");
    put(header, 108, "0000000");
    put(header, 116, "0000000");
    put(header, 124, "%011o".formatted(content.length));
    put(header, 136, "00000000000");
    put(header, 148, "        ");
    header[156] = '0';
    put(header, 257, "ustar");
    put(header, 263, "00");
    int sum = 0;
    for (byte b : header) sum += b & 255;
    put(header, 148, "%06o\0 ".formatted(sum));
    tar.write(header);
    tar.write(content);
    tar.write(new byte[(512 - content.length % 512) % 512]);
  }

  private static void put(byte[] header, int at, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(bytes, 0, header, at, bytes.length);
  }

  private static void archives(Path train, Path validation, Path labels) throws Exception {
    int index = 0;
    try (OutputStream out = Files.newOutputStream(train)) {
      for (String wnid : CLASSES) {
        ByteArrayOutputStream inner = new ByteArrayOutputStream();
        for (int i = 0; i < TRAIN_OF_A_CLASS; i++) entry(inner, wnid + "_" + i + ".JPEG", jpeg(index++));
        inner.write(new byte[1024]);
        entry(out, wnid + ".tar", inner.toByteArray());
      }
      out.write(new byte[1024]);
    }
    StringBuilder truth = new StringBuilder();
    try (OutputStream out = Files.newOutputStream(validation)) {
      for (int i = 1; i <= VALIDATION; i++) {
        entry(out, "ILSVRC2012_val_%08d.JPEG".formatted(i), jpeg(index++));
        truth.append(CLASSES[i * 7 % CLASSES.length]).append('\n');
      }
      out.write(new byte[1024]);
    }
    Files.writeString(labels, truth);
  }

  private Path recipe() throws Exception {
    return Files.writeString(folder.resolve("rehearsal.yaml"), """
        description: The ImageNet recipe of AdaBin's ResNet-18 in small.
        method: {name: adabin, form: code, progressive: true}
        network: {name: resnet18}
        data:
          name: imagenet
          batch: 8
          evalBatch: 8
          height: 64
          width: 64
          channels: 3
          classes: 4
          mean: [0.485, 0.456, 0.406]
          std: [0.229, 0.224, 0.225]
          augment: {flip: 0.5, randomResizedCrop: {area: [0.08, 1.0]}}
          evalResize: 72
          evalCrop: 64
          workers: 1
        optimizer: {name: sgd, learningRate: 0.05, momentum: 0.9, weightDecay: 1e-5}
        schedule: {name: cosine}
        train: {epochs: 2, seed: 1}
        checkpoint: {everySteps: 2, everyMinutes: 0, keep: 2}
        """);
  }

  private Process onebit(String name, String... arguments) throws Exception {
    List<String> command = new ArrayList<>(Ranks.java("onebit.cli.Main", arguments));
    command.replaceAll(word -> word.equals("-Xmx512m") ? "-Xmx1500m" : word);
    return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(folder.resolve(name).toFile()).start();
  }

  private String end(Process process, String name) throws Exception {
    assertTrue(process.waitFor(400, TimeUnit.SECONDS), () -> name + " did not end");
    String text = Files.readString(folder.resolve(name));
    assertEquals(0, process.exitValue(), text);
    return text;
  }

  @Test
  void theWholeJobFromTheArchivesToTheReport() throws Exception {
    Ranks.assumeMpi();
    Path train = folder.resolve("train.tar"), validation = folder.resolve("val.tar"), labels = folder.resolve("labels.txt"), data = folder.resolve("data");
    archives(train, validation, labels);
    end(onebit("prepare", "data", "prepare", "imagenet", "--train", train.toString(), "--val", validation.toString(), "--labels", labels.toString(), "--out",
        data.toString(), "--short-side", "80", "--expect-train", Integer.toString(CLASSES.length * TRAIN_OF_A_CLASS), "--expect-val",
        Integer.toString(VALIDATION)), "prepare");

    Path run = folder.resolve("run");
    Process training = onebit("train", "train", recipe().toString(), "--data", data.toString(), "--out", run.toString(), "--procs", "2", "--restarts", "3");
    while (training.isAlive() && RankStatus.read(run, 1).filter(s -> s.step() >= 4).isEmpty()) Thread.sleep(20);
    RankStatus.read(run, 1).flatMap(s -> ProcessHandle.of(s.pid())).ifPresent(ProcessHandle::destroyForcibly);
    String text = end(training, "train");
    assertTrue(text.contains("The run failed: rank 1 (process ") && text.contains("start 1 of 3 from the last good checkpoint"), text);

    List<Map<String, Object>> metrics = MetricsLog.read(run.resolve(MetricsLog.JSONL));
    assertEquals(List.of(1L, 2L), metrics.stream().map(r -> ((Number) r.get("epoch")).longValue()).toList());
    assertEquals(2L * 4, ((Number) metrics.get(1).get("step")).longValue());
    for (Map<String, Object> record : metrics) {
      double right = ((Number) record.get("testTop1")).doubleValue() * VALIDATION / 100;
      assertEquals(Math.rint(right), right, 1e-9, "a whole number of the " + VALIDATION + " images, each counted once");
    }
    assertTrue(Files.size(run.resolve("report.html")) > 1000 && Files.exists(run.resolve("log-rank1.txt")), "report and the other rank's log");

    String eval = end(onebit("eval", "eval", "--recipe", recipe().toString(), "--weights", run.resolve("last").toString(), "--data", data.toString(), "--json"), "eval");
    Map<String, Object> counted = Json.flat(Arrays.stream(eval.strip().split("\n")).toList().getLast());
    assertEquals(((Number) metrics.get(1).get("testTop1")).doubleValue(), ((Number) counted.get("top1")).doubleValue(), 1e-9, eval);
  }
}
