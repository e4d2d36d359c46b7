package onebit.export;

/** How a file holds filters of one bit. */
public enum FilterForm {
  /** Eight to a byte, taken apart by nodes of the graph, which a runtime folds away when it loads the file. */
  BITS,
  /** As float32 values, for runtimes that lack BitShift or BitwiseAnd of the operator set. */
  VALUES
}
