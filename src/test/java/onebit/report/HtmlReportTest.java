package onebit.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Set;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

class HtmlReportTest {
  private static final String HOSTILE = "</pre><script>alert('x')</script>&\"\u0000\u001b\ud800\uffff]]>";

  /** A run of {@code epochs} epochs with two layers, as the trainer records it. */
  private static List<Map<String, Object>> run(int epochs) {
    List<Map<String, Object>> records = new ArrayList<>();
    for (int epoch = 1; epoch <= epochs; epoch++) {
      Map<String, Object> record = new LinkedHashMap<>();
      record.put("epoch", (long) epoch);
      record.put("step", epoch * 391L);
      record.put("loss", epoch == 3 ? null : 2.3 / epoch + 0.2);
      record.put("trainTop1", 1 - 0.9 / epoch);
      record.put("testTop1", 0.9 - 0.8 / epoch);
      record.put("learningRate", 0.05 * (1 + Math.cos(Math.PI * epoch / epochs)));
      record.put("imagesPerSecond", 5000 + 100 * Math.sin(epoch));
      record.put("stallShare", 0.0);
      record.put("note", "text");
      for (int layer = 1; layer <= 2; layer++) {
        record.put("flip/layer" + layer + ".0.conv1", 0.1 * layer / epoch);
        record.put("plus/layer" + layer + ".0.conv1", 0.5 + 0.1 * layer);
      }
      records.add(record);
    }
    return records;
  }

  private static HtmlReport report(List<Map<String, Object>> records) {
    return new HtmlReport("adabin-resnet20-cifar10", "optimizer:\n  name: sgd\n", Environment.facts(), records, List.of(
        new HtmlReport.Comparison("top-1 (%)", OptionalDouble.of(88.2), "Tu et al. 2022, table 2", OptionalDouble.of(87.98)),
        new HtmlReport.Comparison("epochs", OptionalDouble.of(400), "Tu et al. 2022", OptionalDouble.empty())));
  }

  private static Document parsed(String html) throws Exception {
    var factory = DocumentBuilderFactory.newInstance();
    factory.setFeature("http://apache.org/xml/features/nonvalidating/load-external-dtd", false);
    return factory.newDocumentBuilder().parse(new InputSource(new StringReader(html)));
  }

  private static List<Element> all(Document document, String tag) {
    NodeList nodes = document.getElementsByTagName(tag);
    List<Element> elements = new ArrayList<>();
    for (int i = 0; i < nodes.getLength(); i++) {
      elements.add((Element) nodes.item(i));
    }
    return elements;
  }

  /** In the curve of the loss no epoch stands beside the first, so it is a dot; of the others there are lines. */
  @Test
  void aValueAloneIsADotAndEveryCurveIsNamedWithItsLastValue() throws Exception {
    List<Map<String, Object>> records = run(10);
    records.get(1).put("loss", null);
    Document document = parsed(report(records).html());
    List<Element> dots = all(document, "circle").stream().filter(circle -> circle.getAttribute("class").endsWith(" dot")).toList();
    assertEquals(1, dots.size());
    List<String> captions = all(document, "figcaption").stream().map(Element::getTextContent).toList();
    assertEquals(List.of("Losstraining loss 0.4300", "Top-1 accuracytraining top-1, % 0.9100test top-1, % 0.8200"), captions.subList(0, 2));
    Document one = parsed(report(run(1)).html());
    assertEquals(all(one, "figcaption").stream().mapToInt(caption -> caption.getElementsByTagName("span").getLength()).sum(),
        all(one, "circle").stream().filter(circle -> circle.getAttribute("class").endsWith(" dot")).count(), "a run of one epoch");
  }

  @Test
  void theReportIsWellFormedAndNeedsNothingFromOutside() throws Exception {
    String html = report(run(10)).html();
    Document document = parsed(html);
    for (String tag : List.of("script", "link", "img", "iframe", "object", "image", "use")) {
      assertEquals(0, all(document, tag).size(), tag);
    }
    assertFalse(html.replace("http://www.w3.org/1999/xhtml", "").matches("(?s).*(https?:|url\\(|@import|src=|href=).*"));
    assertTrue(html.contains("prefers-color-scheme: dark"));
  }

  @Test
  void everyPictureHasATextAlternativeAndEveryIdIsUnique() throws Exception {
    Document document = parsed(report(run(10)).html());
    Set<String> ids = new HashSet<>();
    for (Element element : all(document, "*")) {
      assertTrue(element.getAttribute("id").isEmpty() || ids.add(element.getAttribute("id")), element.getAttribute("id"));
    }
    for (Element svg : all(document, "svg")) {
      boolean hidden = svg.getAttribute("aria-hidden").equals("true");
      String by = svg.getAttribute("aria-labelledby");
      assertTrue(hidden || !svg.getAttribute("aria-label").isEmpty() || (!by.isEmpty() && ids.containsAll(List.of(by.split(" ")))));
    }
  }

  @Test
  void aCurveRunsThroughThePointsOfItsValuesAndHasAGapWhereThereWasNoNumber() throws Exception {
    List<Map<String, Object>> records = new ArrayList<>();
    Double[] losses = {4.0, 2.0, null, 0.0, 1.0};
    for (int i = 0; i < losses.length; i++) {
      Map<String, Object> record = new LinkedHashMap<>();
      record.put("step", (long) i * 100);
      record.put("loss", losses[i]);
      records.add(record);
    }
    Document document = parsed(new HtmlReport("t", "", Map.of(), records, List.of()).html());
    Element curve = all(document, "path").stream().filter(p -> p.getAttribute("class").equals("curve one") && p.getAttribute("d").contains("L"))
        .findFirst().orElseThrow();
    // x from 62 to 546 over 400 steps, y from 216 (value 0) to 14 (value 4)
    assertEquals("M62.0 14.0L183.0 115.0M425.0 216.0L546.0 165.5", curve.getAttribute("d"));
    assertEquals("training loss goes from 4.000 to 1.000; lowest 0 at step 300, highest 4.000 at step 0.", all(document, "desc").getFirst().getTextContent());
    assertEquals("training loss 2.000 at step 100", all(document, "title").get(3).getTextContent());
  }

  @Test
  void theLabelsOfTheAxesStandWhereTheCurveHasTheirValues() throws Exception {
    List<Map<String, Object>> records = new ArrayList<>();
    for (int i = 0; i < 3; i++) records.add(Map.of("step", 1000L + 200 * i, "loss", 2.0 + i));
    Document document = parsed(new HtmlReport("t", "", Map.of(), records, List.of()).html());
    Element curve = all(document, "path").stream().filter(p -> p.getAttribute("class").equals("curve one") && p.getAttribute("d").contains("L")).findFirst().orElseThrow();
    assertEquals("M62.0 216.0L304.0 115.0L546.0 14.0", curve.getAttribute("d"));
    // steps 1,000 to 1,400 over 484 units, values 2 to 4 over 202
    assertEquals(List.of("2.0 at 54 216.0", "2.5 at 54 165.5", "3.0 at 54 115.0", "3.5 at 54 64.5", "4.0 at 54 14.0", "1,000 at 62.0 234", "1,100 at 183.0 234",
        "1,200 at 304.0 234", "1,300 at 425.0 234", "1,400 at 546.0 234", "step at 546 248"),
        all(document, "text").stream().map(t -> t.getTextContent() + " at " + t.getAttribute("x") + " " + t.getAttribute("y")).toList());
    assertEquals(List.of("62.0 216.0", "304.0 115.0", "546.0 14.0"),
        all(document, "circle").stream().map(c -> c.getAttribute("cx") + " " + c.getAttribute("cy")).toList());
  }

  @Test
  void aValueThatStaysHasAnAxisOfPlainNumbersInWhichItMayBe() throws Exception {
    List<Map<String, Object>> records = new ArrayList<>();
    for (int i = 1; i <= 2; i++) records.add(new LinkedHashMap<>(Map.of("step", (long) i, "testTop5", 1.0, "skippedSteps", 0L)));
    List<String> labels = all(parsed(new HtmlReport("t", "", Map.of(), records, List.of()).html()), "text").stream().map(Element::getTextContent).toList();
    assertTrue(labels.containsAll(List.of("0.00", "0.20", "0.80", "1.00")), labels.toString());
    assertTrue(labels.stream().noneMatch(label -> label.contains("e-") || label.contains("0000") || label.equals("1.20")), labels.toString());
  }

  @Test
  void hostileTextIsShownAndNeverBecomesMarkup() throws Exception {
    Map<String, Object> record = new LinkedHashMap<>();
    record.put("step", 1L);
    record.put(HOSTILE, 1.0);
    record.put("flip/" + HOSTILE, 0.1);
    record.put("plus/" + HOSTILE, 0.5);
    HtmlReport report = new HtmlReport(HOSTILE, HOSTILE, Map.of(HOSTILE, HOSTILE), List.of(record),
        List.of(new HtmlReport.Comparison(HOSTILE, OptionalDouble.of(1), HOSTILE, OptionalDouble.empty())));
    Document document = parsed(report.html());
    assertEquals(0, all(document, "script").size());
    assertEquals("</pre><script>alert('x')</script>&\"\ufffd\ufffd\ufffd\ufffd]]>", all(document, "pre").getFirst().getTextContent());
  }

  @Test
  void publishedAndMeasuredNumbersStandInColumnsOfTheirOwn() throws Exception {
    Document document = parsed(report(run(2)).html());
    List<String> cells = all(document, "td").stream().filter(td -> td.getAttribute("class").contains("measured")).map(Element::getTextContent).toList();
    assertEquals(List.of("87.98", "not measured"), cells);
  }

  @Test
  void layersHaveTheirLastFlipRatioAndBalance() throws Exception {
    Document document = parsed(report(run(4)).html());
    List<String> rows = all(document, "tr").stream().map(Element::getTextContent).filter(t -> t.startsWith("layer2.0")).toList();
    assertEquals(1, rows.size());
    assertTrue(rows.getFirst().endsWith("0.2000" + "0.05000" + "plus/layer2.0.conv1 0.7000" + "0.7000"), rows.toString());
  }

  @Test
  void aLayersFlipRatioRisesFromZeroToItsHighestAndItsBalanceFillsItsShare() throws Exception {
    List<Map<String, Object>> records = new ArrayList<>();
    Double[] flips = {0.1, 0.4, null, 0.2, 0.0};
    for (int i = 0; i < flips.length; i++) {
      Map<String, Object> record = new LinkedHashMap<>(Map.of("step", 100L + 50 * i, "plus/conv1", 0.7));
      record.put("flip/conv1", flips[i]);
      records.add(record);
    }
    Element row = all(parsed(report(records).html()), "tr").stream().filter(tr -> tr.getTextContent().startsWith("conv1")).findFirst().orElseThrow();
    Element curve = (Element) row.getElementsByTagName("path").item(0), fill = (Element) row.getElementsByTagName("rect").item(1);
    // x from 2 to 142 over 200 steps, y from 26 (value 0) to 2 (value 0.4)
    assertEquals("M2.0 20.0h0.1L37.0 2.0M107.0 14.0h0.1L142.0 26.0", curve.getAttribute("d"));
    assertEquals("98.0", fill.getAttribute("width"), "0.7 of 140");
  }

  @Test
  void aReportBeginsWithTheBestAndTheLastValues() throws Exception {
    List<Map<String, Object>> records = List.of(Map.of("step", 391L, "epoch", 1L, "testTop1", 75.0, "loss", 2.0), Map.of("step", 782L, "epoch", 2L, "testTop1", 50.0, "loss", 1.5));
    Document document = parsed(report(records).html());
    assertEquals(List.of("best test top-1, %: 75.00", "last test top-1, %: 50.00", "last training loss: 1.500", "last epoch: 2", "last step: 782"),
        all(document, "div").stream().filter(div -> div.getElementsByTagName("dt").getLength() == 1)
            .map(div -> div.getElementsByTagName("dt").item(0).getTextContent() + ": " + div.getElementsByTagName("dd").item(0).getTextContent()).toList());
    assertTrue(all(document, "th").stream().map(Element::getTextContent).toList().containsAll(Environment.facts().keySet()));
  }

  @Test
  void aRunWithoutRecordsOrWithOneOrWithStrangeValuesStillHasAReport() throws Exception {
    parsed(report(List.of()).html());
    parsed(report(run(1)).html());
    for (double value : new double[] {Double.MIN_VALUE, Double.MAX_VALUE, -Double.MAX_VALUE, 1e15 + 0.25, 0}) {
      List<Map<String, Object>> records = new ArrayList<>();
      for (int step = 0; step < 3; step++) {
        records.add(Map.of("step", (long) step, "loss", step == 1 ? value : step == 0 ? 0.0 : Math.nextUp(value)));
      }
      parsed(report(records).html());
    }
  }

  @Test
  void aLongRunGivesASmallFileThatKeepsItsPeaksAndGaps() throws Exception {
    List<Map<String, Object>> records = new ArrayList<>();
    Map<Integer, Double> peaks = Map.of(11_111, Double.NaN, 22_222, 0.5, 33_333, 100.0, 40_000, Double.NaN, 40_100, 0.75, 40_200, 3.0);
    for (int step = 0; step < 50_000; step++) {
      records.add(Map.of("step", (long) step, "loss", peaks.getOrDefault(step, 1.0)));
    }
    String html = new HtmlReport("long", "", Map.of(), records, List.of()).html();
    assertTrue(html.length() < 60_000, html.length() + " characters");
    Series thin = Series.of("loss", records).thinned(800);
    Map<Integer, Double> kept = new LinkedHashMap<>();
    for (int i = 0; i < thin.size(); i++) if (thin.values()[i] != 1) kept.put((int) thin.steps()[i], thin.values()[i]);
    assertEquals(peaks, kept);
    assertTrue(thin.size() <= 810, thin.size() + " points");
  }

  @Test
  void writingReplacesTheFileBefore(@TempDir Path folder) throws IOException {
    Path file = Files.writeString(folder.resolve("report.html"), "old");
    report(run(2)).write(file);
    assertTrue(Files.readString(file).startsWith("<!DOCTYPE html>"));
    try (var files = Files.list(folder)) {
      assertEquals(List.of(file), files.toList());
    }
  }
}
