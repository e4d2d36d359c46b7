package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import onebit.dist.Ranks;
import onebit.ops.cuda.EmulatedDriver;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A run, one that learns from it, and one that learns from that. */
class TeacherCommandTest {
  private static final List<String> DRY = List.of("train", "default", "--dev-run", "--steps", "2", "--set", "network.width=4");

  @TempDir private Path folder;

  private static Said dry(Path out, String... more) {
    return Said.by(Stream.of(DRY.stream(), Stream.of("--out", out.toString()), Stream.of(more)).flatMap(words -> words).toArray(String[]::new));
  }

  private static Said taught(Path by, Path out, String... more) {
    return dry(out, Stream.concat(Stream.of("--set", "teacher.network=run", "--set", "teacher.weights=" + by), Stream.of(more)).toArray(String[]::new));
  }

  /** On the device and by processes, too; what a student learned from is not needed by who learns from the student. */
  @Test
  void aRunTeachesAnother() throws Exception {
    Path first = folder.resolve("first"), second = folder.resolve("second"), both = folder.resolve("both");
    assertEquals(0, dry(first, "--set", "method={name: rbnn}", "--set", "data.mean=[0.3]").code());
    Said learned = taught(first, second);
    assertEquals(0, learned.code(), learned.err());
    String line = "Teacher run of GlyphNet[width=4] with Rbnn[rotationUpdate=1, realActivations=false], temperature 1.0, share of hard labels 0.0: weights " + first + ", SHA-256 ";
    assertTrue(learned.out().contains(line) && Files.readString(second.resolve("log.txt")).contains(line), learned.out());
    Said memory = Said.by("summary", second.resolve("recipe.yaml").toString(), "--memory", "--json");
    assertTrue(memory.json().get("teacherBytes").longValue() > 0, memory.out());
    Files.move(first, folder.resolve("gone"));
    Said third = taught(second, folder.resolve("third"), "--device", EmulatedDriver.refusal() == null ? "cuda-emulated" : "cpu");
    assertEquals(0, third.code(), third.err());
    assertEquals(0, Said.by("eval", "--weights", second.toString(), "--json").code(), "a student is judged without its teacher");
    Ranks.assumeMpi();
    Said ranks = taught(second, both, "--procs", "2");
    assertEquals(0, ranks.code(), ranks.err() + ranks.out());
    assertTrue(Files.readString(both.resolve("log-rank1.txt")).contains("weights " + second + ", SHA-256 "), ranks.out());
  }

  @Test
  void aRunThatCannotTeachIsRefusedOnceBeforeAnythingIsWritten() throws Exception {
    Path teacher = Files.createDirectories(folder.resolve("teacher")), refused = folder.resolve("refused");
    String sentence = "onebit: teacher.weights: " + teacher;
    assertEquals(new Said(2, "", sentence + " belongs to no run, whose recipe.yaml would say its network; give the folder of a run, or the network's name as teacher.network\n"),
        taught(teacher, refused));
    Files.writeString(teacher.resolve("recipe.yaml"), Workplace.RECIPES.write(Workplace.RECIPES.load("default", List.of("data.name=generated", "data.height=32"))));
    Ranks.assumeMpi();
    for (String[] how : new String[][] {{}, {"--procs", "2"}}) {
      assertEquals(new Said(2, "", sentence + " cannot teach this run: data.height is 32 there and 28 here; a teacher sees the same images and tells the same classes apart\n"),
          taught(teacher, refused, how));
    }
    Files.writeString(teacher.resolve("recipe.yaml"), Workplace.RECIPES.write(Workplace.RECIPES.load("default", List.of())));
    assertEquals(new Said(1, "", "onebit: teacher.weights: run " + teacher + " has no checkpoint yet\n").err(), taught(teacher, refused, "--json").err().lines().toList().getLast() + "\n");
    assertEquals(new Said(1, "", "onebit: teacher.weights: weights " + folder.resolve("nowhere") + " do not exist\n"), taught(folder.resolve("nowhere"), refused));
    assertFalse(Files.exists(refused));
  }
}
