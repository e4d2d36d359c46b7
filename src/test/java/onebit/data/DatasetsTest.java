package onebit.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DatasetsTest {
  @Test void missingFilesNameTheCommandThatGetsThem(@TempDir Path dir) {
    for (String name : new String[] {"mnist", "fashion-mnist", "cifar10"}) {
      String message = assertThrows(FileNotFoundException.class, () -> Datasets.open(name, dir, Split.TRAIN)).getMessage();
      assertTrue(message.contains("onebit data prepare " + name + " --out " + dir), message);
      assertThrows(FileNotFoundException.class, () -> Datasets.open(name, dir.resolve("absent"), Split.TEST));
      assertThrows(IllegalArgumentException.class, () -> Datasets.open(name, null, Split.TEST));
    }
  }

  @Test void missingFoldersOfSetsThatAreNotFetchedNameThePageThatHelps(@TempDir Path dir) throws IOException {
    for (String[] each : new String[][] {{"folder", "imagenet"}, {"voc", "voc"}}) {
      String page = "datasets/" + each[1] + "/README.md";
      assertTrue(Files.exists(Path.of(page)), page);
      for (Path absent : new Path[] {dir, dir.resolve("absent")}) {
        String message = assertThrows(FileNotFoundException.class, () -> Datasets.open(each[0], absent, Split.TEST)).getMessage();
        assertTrue(message.contains(page), message);
      }
      assertTrue(assertThrows(IllegalArgumentException.class, () -> DataSource.of(each[0])).getMessage().contains(page));
    }
    new VocFolder(dir.resolve("VOC2007")).photo("trainval", "a", 20, 20, VocFolder.object("cat", false, 1, 1, 9, 9));
    assertTrue(assertThrows(FileNotFoundException.class, () -> Datasets.open("voc", dir, Split.TRAIN)).getMessage().contains("VOC2012/trainval"), "all usual lists are wanted");
    Datasets.Spec spec = new Datasets.Spec(300, 300, 3, 20, 0, 0, java.util.List.of("VOC2007/trainval"));
    assertEquals(1, Datasets.open("voc", dir, Split.TRAIN, spec).size());
    assertThrows(IllegalArgumentException.class, () -> Datasets.open("voc", dir, Split.TRAIN, new Datasets.Spec(300, 200, 3, 20, 0, 0)));
  }

  @Test void unknownNamesAreRefusedWithTheKnownOnes() {
    String message = assertThrows(IllegalArgumentException.class, () -> Datasets.open("mnits", null, Split.TRAIN)).getMessage();
    for (Datasets.Entry entry : Datasets.list()) assertTrue(message.contains(entry.name()), message);
  }

  @Test void generatedSplitsHaveTheAskedShapeAndDiffer() throws IOException {
    Datasets.Spec spec = new Datasets.Spec(6, 9, 3, 5, 77, 2);
    Dataset train = Datasets.open("generated", null, Split.TRAIN, spec);
    Dataset test = Datasets.open("generated", null, Split.TEST, spec);
    assertEquals(77, train.size());
    assertEquals(6 * 9 * 3, train.imageBytes());
    assertEquals(5, train.classes());
    byte[] a = new byte[162];
    byte[] b = new byte[162];
    train.read(0, a, 0);
    test.read(0, b, 0);
    assertFalse(Arrays.equals(a, b));
  }

  @Test void everyFetchedDataSetHasASourceAndAPageWithItsDigests() throws IOException {
    for (Datasets.Entry entry : Datasets.list()) {
      if (!entry.fetched()) {
        assertThrows(IllegalArgumentException.class, () -> DataSource.of(entry.name()));
        continue;
      }
      DataSource source = DataSource.of(entry.name());
      assertEquals(entry.name(), source.name());
      String page = Files.readString(Path.of("datasets", entry.name(), "README.md"));
      for (DataSource.RemoteFile file : source.files()) {
        assertTrue(page.contains(file.digest().substring(file.digest().indexOf(':') + 1)), entry.name() + " " + file.name());
      }
    }
  }

  @Test void theSourceOfMnistDescribesTheRealFiles() throws IOException {
    Path dir = Path.of("../shared/data/mnist");
    org.junit.jupiter.api.Assumptions.assumeTrue(Files.isDirectory(dir), "needs the real files in ../shared/data/mnist");
    for (DataSource.RemoteFile file : DataSource.of("mnist").files()) {
      assertTrue(DataSource.matches(dir.resolve(file.name()), file.bytes(), file.digest()), file.name());
    }
  }
}
