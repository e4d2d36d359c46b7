package onebit.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Batches of images with boxes. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BoxLoaderTest {
  private static final List<Augmentation> TRAINING = List.of(new Photometric(32, 0.5, 0.5, 18), new Expand(4, 123, 117, 104), new OverlapCrop(),
      new Augmentation.Flip(0.5), new ResizeTo(40));

  private static List<String> epoch(Loader loader, int epoch, int from) {
    List<String> batches = new ArrayList<>();
    loader.start(epoch, from);
    for (ImageBatch b = loader.next(); b != null; b = loader.next()) {
      StringBuilder words = new StringBuilder().append(b.count()).append(Arrays.toString(Arrays.copyOf(b.sampleIds(), b.count())))
          .append(Arrays.hashCode(Arrays.copyOf(b.pixels(), b.count() * b.imageBytes())));
      for (int i = 0; i < b.count(); i++) words.append(" | ").append(BoxAugmentationTest.words(b.boxes()[i]));
      batches.add(words.toString());
    }
    return batches;
  }

  @Test void pixelsAndBoxesDoNotDependOnThreadsOrOnWhereTheEpochWasResumed() {
    FigureDataset figures = new FigureDataset(1, Split.TRAIN, 64, 20, 70);
    Sampler sampler = new Sampler(3, 70, 20, true, false, 0, 1);
    try (Loader one = new Loader(figures, sampler, TRAINING, 1); Loader four = new Loader(figures, sampler, TRAINING, 4)) {
      List<String> first = epoch(one, 0, 0), second = epoch(one, 1, 0);
      assertEquals(4, first.size());
      assertEquals(second, epoch(four, 1, 0));
      assertEquals(first, epoch(four, 0, 0));
      assertEquals(second.subList(2, 4), epoch(four, 1, 2));
      assertNotEquals(first, second);
    }
  }

  @Test void anEvaluationShowsEveryImageOnceWithTheBoxesOfItsFile(@TempDir Path dir) throws IOException {
    VocFolder folder = new VocFolder(dir);
    for (int i = 0; i < 21; i++) {
      folder.photo("a", "p" + i, 60 + i, 90, VocFolder.object(VocDataset.CLASSES.get(i % 20), i % 3 == 0, 2 + i, 5, 50, 40 + i) + VocFolder.object("dog", false, 1, 1, 9, 9));
    }
    VocDataset set = VocDataset.open(dir, List.of("./a"), Split.TEST, 40);
    byte[] whole = new byte[set.imageBytes()];
    Boxes boxes = new Boxes();
    for (List<Augmentation> steps : List.of(List.<Augmentation>of(), List.<Augmentation>of(new ResizeTo(40)))) {
      try (Loader loader = Loader.evaluation(set, 8, steps, 3)) {
        loader.start(0, 0);
        int index = 0;
        for (ImageBatch b = loader.next(); b != null; b = loader.next()) {
          for (int i = 0; i < b.count(); i++, index++) {
            set.boxes(index, boxes);
            assertEquals(BoxAugmentationTest.words(boxes), BoxAugmentationTest.words(b.boxes()[i]));
            assertEquals(index % 3 == 0, b.boxes()[i].difficult(0));
            set.read(index, whole, 0);
            assertEquals(Arrays.hashCode(whole), Arrays.hashCode(Arrays.copyOfRange(b.pixels(), i * b.imageBytes(), (i + 1) * b.imageBytes())));
          }
        }
        assertEquals(21, index);
      }
    }
  }

  /** Notes what a loader tells. */
  private static final class Notes implements LoaderWatch {
    final List<String> told = new ArrayList<>();

    @Override public synchronized void bad(Dataset dataset, int epoch, int index, int replacement, String why) {
      told.add(index + " " + replacement);
      assertTrue(why.contains("the image is damaged"), why);
    }

    @Override public void notice(String sentence) {
      throw new AssertionError(sentence);
    }
  }

  @Test void aBadPhotoIsReplacedWithItsBoxesOrBlackWithItsOwn(@TempDir Path dir) throws IOException {
    VocFolder folder = new VocFolder(dir);
    for (int i = 0; i < 12; i++) folder.photo("a", "p" + i, 60, 90, VocFolder.object(VocDataset.CLASSES.get(i), false, 2 + i, 5, 50, 40 + i));
    VocDataset set = VocDataset.open(dir, List.of("./a"), Split.TRAIN, 40);
    Files.write(folder.jpeg("p5"), Arrays.copyOf(Files.readAllBytes(folder.jpeg("p5")), 400));
    Notes notes = new Notes();
    try (Loader loader = new Loader(set, Sampler.training(2, 12, 4), List.of(new OverlapCrop(), new ResizeTo(40)), 2, notes)) {
      loader.start(0, 0);
      int images = 0;
      for (ImageBatch b = loader.next(); b != null; b = loader.next()) {
        for (int i = 0; i < b.count(); i++, images++) {
          assertEquals(1, b.boxes()[i].count());
          assertEquals(b.sampleIds()[i], b.boxes()[i].label(0), "the box is of the photo that is shown");
          assertNotEquals(5, b.sampleIds()[i]);
        }
      }
      assertEquals(12, images);
    }
    assertFalse(notes.told.isEmpty());
    for (String told : notes.told) assertTrue(told.startsWith("5 ") && !told.endsWith("-1"), told);

    notes.told.clear();
    try (Loader loader = new Loader(set, Sampler.evaluation(12, 12), List.of(new ResizeTo(40)), 2, notes)) {
      loader.start(0, 0);
      ImageBatch b = loader.next();
      int bytes = b.imageBytes();
      for (int i = 0; i < bytes; i++) assertEquals(0, b.pixels()[5 * bytes + i]);
      Boxes own = new Boxes();
      set.boxes(5, own);
      assertEquals(BoxAugmentationTest.words(own), BoxAugmentationTest.words(b.boxes()[5]));
      assertEquals(5, own.label(0));
    }
    assertEquals(List.of("5 -1"), notes.told);
  }

  @Test void imagesWithoutBoxesGetNone() {
    try (Loader loader = Loader.evaluation(new GeneratedDataset("bare", 4, 8, 8, 3, 2, 1), 4, List.of(), 1)) {
      loader.start(0, 0);
      assertEquals(0, loader.next().boxes().length);
    }
    assertFalse(new GeneratedDataset("bare", 4, 8, 8, 3, 2, 1).hasBoxes());
  }
}
