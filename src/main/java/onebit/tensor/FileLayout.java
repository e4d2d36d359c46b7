package onebit.tensor;

/** Order of a tensor's values in a state dictionary, against the order in memory. */
public enum FileLayout {
  /** As in memory. */
  SAME,
  /** Filters: O,C,R,S in the file, O,R,S,C in memory. */
  FILTERS;

  /** Values in memory order from values in file order. */
  public float[] fromFile(float[] file, Shape shape) {
    return this == SAME ? file.clone() : permute(file, shape, true);
  }

  /** Values in file order from values in memory order. */
  public float[] toFile(float[] memory, Shape shape) {
    return this == SAME ? java.util.Arrays.copyOf(memory, shape.size()) : permute(memory, shape, false);
  }

  private static float[] permute(float[] from, Shape shape, boolean toMemory) {
    int taps = shape.d1() * shape.d2(), channels = shape.d3(), row = shape.rowSize();
    float[] to = new float[shape.size()];
    for (int o = 0; o < shape.d0(); o++) {
      for (int t = 0; t < taps; t++) {
        for (int c = 0; c < channels; c++) {
          int memory = o * row + t * channels + c, file = o * row + c * taps + t;
          if (toMemory) to[memory] = from[file];
          else to[file] = from[memory];
        }
      }
    }
    return to;
  }
}
