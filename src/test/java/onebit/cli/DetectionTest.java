package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;
import onebit.report.MetricsLog;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** A small detector from the first step to boxes in a file of one's own, through the command line. */
class DetectionTest {
  private static final Path SAMPLE = Path.of("../shared/data/voc2012-sample");
  private static final String WIDTH = "network.width=2";

  @TempDir private static Path folder;

  /** Two steps of two images that the program draws. */
  @BeforeAll
  static void train() {
    Said said = Said.by("train", "adabin-ssd300-voc", "--dev-run", "--steps", "2", "--json", "--out", folder.resolve("run").toString(), "--set", WIDTH, "--set", "train.epochs=400");
    assertEquals("complete", said.json().get("end").asText());
    assertTrue(said.json().get("bestMap").isNumber(), said.out());
  }

  @Test
  void anEpochTellsItsPrecisionAndThePartsOfItsLoss() throws IOException {
    var record = MetricsLog.read(folder.resolve("run/metrics.jsonl")).getLast();
    double loss = ((Number) record.get("loss")).doubleValue(), location = ((Number) record.get("locationLoss")).doubleValue();
    assertTrue(location > 0 && location < loss && loss < 1000, record.toString());
    assertTrue(record.containsKey("testMap") && record.containsKey("testMapOfArea"), record.toString());
    assertFalse(record.containsKey("trainTop1") || record.containsKey("testTop1"), record.toString());
    String report = Files.readString(folder.resolve("run/report.html"));
    assertTrue(report.contains("mean average precision, best epoch, %") && report.contains("69.4"), "the report compares with the published number");
  }

  @Test
  void boxesOfAPhotoAreInItsPixels() throws IOException {
    BufferedImage photo = new BufferedImage(200, 120, BufferedImage.TYPE_INT_RGB);
    photo.createGraphics().setBackground(Color.ORANGE);
    for (int y = 30; y < 90; y++) for (int x = 50; x < 130; x++) photo.setRGB(x, y, 0x3060c0);
    Path file = folder.resolve("photo.png");
    ImageIO.write(photo, "png", file.toFile());
    JsonNode all = Said.by(predict("0", file.toString(), "--json")).json().get("detections");
    assertEquals(file.toString(), all.get(0).get("image").asText());
    JsonNode boxes = all.get(0).get("boxes");
    int leftOut = all.get(0).get("leftOut").asInt();
    assertTrue(boxes.size() == 100 && leftOut > 0 && leftOut <= 100, "a network that learned nothing finds many: " + boxes.size() + " and " + leftOut);
    double before = 1;
    for (JsonNode box : boxes) {
      assertTrue(box.get("probability").asDouble() <= before && box.get("probability").asDouble() > 0.01, box.toString());
      before = box.get("probability").asDouble();
      List<Integer> corners = new ArrayList<>();
      box.get("pixels").forEach(corner -> corners.add(corner.asInt()));
      assertTrue(0 <= corners.get(0) && corners.get(0) <= corners.get(2) && corners.get(2) <= 200, box.toString());
      assertTrue(0 <= corners.get(1) && corners.get(1) <= corners.get(3) && corners.get(3) <= 120, box.toString());
    }
    Said few = Said.by(predict("0", file.toString(), "--top", "2"));
    assertTrue(few.out().endsWith("Left out: " + (leftOut + 98) + " less probable boxes of 1 image; --top N shows so many of each image, --least-score P fewer and surer ones.\n"), few.out());
    assertEquals(2 + 2 + 1, few.out().lines().count(), "head, rows, what was left out: " + few.out());
    assertEquals(100 + leftOut, Said.by(predict("0", file.toString(), "--top", "300", "--json")).json().get("detections").get(0).get("boxes").size());
    Said nothing = Said.by(predict("1", file.toString()));
    assertEquals(0, nothing.code(), nothing.err());
    assertTrue(nothing.out().contains("nothing"), nothing.out());
  }

  private static String[] predict(String leastScore, String... more) {
    List<String> all = new ArrayList<>(List.of("predict", "--recipe", "adabin-ssd300-voc", "--set", WIDTH, "--weights", folder.resolve("run").toString(), "--least-score", leastScore));
    all.addAll(List.of(more));
    return all.toArray(String[]::new);
  }

  @Test
  void realPhotosAreJudgedByTheirAnnotations() {
    assumeTrue(Files.isDirectory(SAMPLE), "needs the VOC sample of ../shared/data");
    JsonNode result = Said.by("eval", "--recipe", "adabin-ssd300-voc", "--set", WIDTH, "--set", "data.testLists=[./sample]", "--weights", folder.resolve("run").toString(), "--data",
        SAMPLE.toString(), "--json").json();
    assertEquals(100, result.get("total").asInt());
    assertEquals(273 - 38, result.get("boxes").asInt());
    assertEquals(20, result.get("average").size());
    assertTrue(result.get("map").asDouble() < 20 && result.get("detections").asInt() > 0, result.toString());
  }

  @Test
  void aRunWithoutItsBackboneSaysWhereItComesFromAndHowToDoWithout() {
    Said said = Said.by("train", "adabin-ssd300-voc", "--set", WIDTH, "--set", "data.name=figures", "--out", folder.resolve("other").toString());
    assertEquals(1, said.code(), said.err());
    String missing = "onebit: train.initFrom: neither adabin-ssd300backbone-imagenet nor runs/adabin-ssd300backbone-imagenet is there to take weights from; onebit train "
        + "adabin-ssd300backbone-imagenet --data DIR makes that run, --set train.initFrom=FILE names others, and --set train.initFrom=null --set train.initPart=null starts from random ones";
    assertTrue(said.err().contains(missing), said.err());
    assertFalse(Files.exists(folder.resolve("other/recipe.yaml")));
    var random = Workplace.RECIPES.load("adabin-ssd300-voc", List.of("train.initFrom=null", "train.initPart=null")).train();
    assertTrue(random.initFrom().isEmpty() && random.initPart().isEmpty());
  }
}
