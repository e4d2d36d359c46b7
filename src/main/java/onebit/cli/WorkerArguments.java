package onebit.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;

/** The command line of a worker, made from its supervisor's. */
final class WorkerArguments {
  /** Options that are the supervisor's, each with a value; --out and --resume are given anew, so that all starts go on with one run. */
  private static final Set<String> DROPPED = Set.of("--procs", "--gpus", "--restarts", "--out", "--resume");

  private WorkerArguments() {}

  static List<String> of(List<String> given, Path run, boolean onGpu) {
    List<String> all = new ArrayList<>();
    for (Iterator<String> words = given.iterator(); words.hasNext();) {
      String word = words.next();
      int equals = word.indexOf('=');
      if (DROPPED.contains(equals < 0 ? word : word.substring(0, equals))) {
        if (equals < 0 && words.hasNext()) words.next();
      } else {
        all.add(word);
      }
    }
    all.addAll(List.of("--out", run.toString(), "--resume", "auto"));
    if (onGpu) all.addAll(List.of("--device", "cuda"));
    return all;
  }
}
