package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import onebit.data.BadImageException;
import onebit.data.Dataset;
import onebit.data.Datasets;
import onebit.data.LoaderWatch;
import onebit.data.Split;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BadImageLedgerTest {
  private static Dataset images(int size) throws IOException {
    return images(size, Set.of());
  }

  /** Images of which some cannot be decoded. */
  private static Dataset images(int size, Set<Integer> bad) throws IOException {
    Dataset whole = Datasets.open("generated", null, Split.TRAIN, new Datasets.Spec(4, 4, 3, 10, size, 1));
    return (Dataset) Proxy.newProxyInstance(Dataset.class.getClassLoader(), new Class<?>[] {Dataset.class}, (self, method, given) -> {
      if (method.getName().equals("decode") && bad.contains(given[0])) throw new BadImageException("damaged");
      return method.invoke(whole, given);
    });
  }

  @Test void anImageIsNotedOnceAndTheThirdOfTwoThousandEndsTheRunAlsoAfterAResumption(@TempDir Path run) throws IOException {
    List<String> warnings = new ArrayList<>();
    Dataset set = images(2000, Set.of(17, 99, 1999));
    LoaderWatch watch = BadImageLedger.open(run, warnings::add).of(Split.TRAIN, set);
    watch.bad(set, 0, 17, 400, "a.jpg: the image is damaged");
    watch.bad(set, 1, 17, 30, "a.jpg: the image is damaged");
    watch.bad(set, 1, 99, LoaderWatch.BLACK, "b.jpg: is \"neither\"");
    assertEquals(2, warnings.size(), warnings.toString());
    assertTrue(warnings.get(0).contains("image 400 takes its place") && warnings.get(1).contains("shown black"), warnings.toString());
    List<String> lines = Files.readAllLines(run.resolve("bad-images.jsonl"));
    assertEquals("{\"split\":\"train\",\"sample\":17,\"epoch\":1,\"shown\":400,\"why\":\"a.jpg: the image is damaged\"}", lines.getFirst());
    assertEquals(2, lines.size());
    Files.writeString(run.resolve("bad-images.jsonl"), "{\"split\":\"tra", StandardOpenOption.APPEND);

    LoaderWatch resumed = BadImageLedger.open(run, warnings::add).of(Split.TRAIN, set);
    resumed.bad(set, 2, 99, 3, "b.jpg");
    assertEquals(2, warnings.size(), "known from before");
    BadImageLedger.open(run, warnings::add).of(Split.TEST, set).bad(set, 2, 5, LoaderWatch.BLACK, "c.jpg");
    assertTrue(Files.readAllLines(run.resolve("bad-images.jsonl")).getLast().startsWith("{\"split\":\"test\""), "behind a line that a kill cut short");
    BadImageLedger.open(run, warnings::add).of(Split.TRAIN, images(2000, Set.of(99))).bad(set, 2, 1999, 3, "one of the two before was mended");
    String message = assertThrows(IOException.class, () -> resumed.bad(set, 2, 1999, 3, "d.jpg: is cut short")).getMessage();
    assertTrue(message.startsWith("3 of the 2,000 training images cannot be decoded, more than 1 in 1000: the run stops; mend them or take them away;") && message.endsWith("d.jpg: is cut short"), message);
  }

  @Test void ofASmallSetTheFirstEndsTheRun(@TempDir Path run) throws IOException {
    LoaderWatch watch = BadImageLedger.open(run, w -> { }).of(Split.TRAIN, images(999));
    Dataset set = images(999);
    assertThrows(IOException.class, () -> watch.bad(set, 0, 1, 2, "x"));
    BadImageLedger.open(run.resolve("other"), w -> { }).of(Split.TRAIN, images(1000)).bad(images(1000), 0, 1, 2, "x");
  }

  @Test void aFolderThatCannotBeWrittenIsSaidOnceAndTheRunGoesOn(@TempDir Path run) throws IOException {
    List<String> warnings = new ArrayList<>();
    LoaderWatch watch = BadImageLedger.open(run.resolve("gone"), warnings::add).of(Split.TRAIN, images(10_000));
    for (int i = 0; i < 3; i++) watch.bad(images(10_000), 0, i, 9, "x");
    assertEquals(1, warnings.stream().filter(w -> w.startsWith("bad-images.jsonl cannot be written")).count(), warnings.toString());
  }

  @Test void theImagesOfAllRanksCountOnceEach(@TempDir Path run) throws IOException {
    Dataset set = images(1000, Set.of(7, 8, 9));
    BadImageLedger one = BadImageLedger.open(run, w -> { }), other = BadImageLedger.open(run, w -> { });
    one.of(Split.TRAIN, set).bad(set, 0, 7, 2, "x");
    other.of(Split.TRAIN, set).bad(set, 0, 7, 2, "x");
    other.of(Split.TEST, set).bad(set, 0, 8, LoaderWatch.BLACK, "x");
    long[][] rows = {{one.untold()[0], -1}, other.untold()};
    one.learn(rows);
    other.learn(rows);
    assertEquals(0, one.untold().length, "told once");
    one.of(Split.TRAIN, set).bad(set, 1, 7, 3, "x");
    assertEquals(0, one.untold().length, "known");
    BadImageLedger third = BadImageLedger.open(run.resolve("new"), w -> { });
    third.of(Split.TRAIN, set).bad(set, 1, 9, 3, "x");
    long[][] more = {{}, third.untold()};
    String message = assertThrows(IOException.class, () -> one.learn(more)).getMessage();
    assertTrue(message.startsWith("2 of the 1,000 training images, counted over 2 processes, cannot be decoded, more than 1 in 1000"), message);
  }
}
