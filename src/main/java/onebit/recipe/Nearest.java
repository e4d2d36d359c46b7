package onebit.recipe;

import java.util.Collection;
import java.util.Locale;

/** The valid word a user most likely meant, by edit distance. */
final class Nearest {
  private Nearest() {}

  /** The candidate with the fewest single-character edits to the word, the first of equals; null where there are none. */
  static String to(String word, Collection<String> candidates) {
    String best = null;
    int fewest = Integer.MAX_VALUE;
    for (String candidate : candidates) {
      int edits = edits(word.toLowerCase(Locale.ROOT), candidate.toLowerCase(Locale.ROOT));
      if (edits < fewest) {
        fewest = edits;
        best = candidate;
      }
    }
    return best;
  }

  /** Whether at most half of the word's characters are edited. */
  static boolean close(String word, String candidate) {
    return 2 * edits(word.toLowerCase(Locale.ROOT), candidate.toLowerCase(Locale.ROOT)) <= word.length();
  }

  /** Whether the word is the candidate but for case and underscores, or the first letters of its words, as lr is of learningRate. */
  static boolean same(String word, String candidate) {
    String plain = word.replace("_", "").toLowerCase(Locale.ROOT);
    return plain.equals(candidate.toLowerCase(Locale.ROOT)) || plain.length() > 1 && plain.equals((candidate.charAt(0) + candidate.substring(1).replaceAll("[^A-Z]", "")).toLowerCase(Locale.ROOT));
  }

  /** The number of insertions, deletions and replacements between two texts. Source: Levenshtein 1966. */
  static int edits(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) row[j] = j;
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int replaced = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(replaced, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
  }
}
